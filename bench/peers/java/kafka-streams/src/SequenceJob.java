import org.apache.kafka.common.utils.Bytes;

/**
 * Product view, cart, checkout within ten minutes.
 * State: the product view that the last cart followed, and a product view since then.
 */
final class SequenceJob extends JobProcessor {
    private static final long WITHIN_MS = 10 * 60_000;
    private static final byte[] NOTHING = times(NONE, NONE);

    @Override
    void look(Click click, byte[] visitor, long recordTime) {
        int role = switch (click.type) {
            case "product_view" -> 0;
            case "cart_add" -> 1;
            case "checkout_started" -> 2;
            default -> -1;
        };
        if (role < 0) {
            return;
        }
        Bytes key = Bytes.wrap(visitor);
        byte[] kept = state.get(key);
        long[] before = times(kept == null ? NOTHING : kept);
        if (role == 0) {
            state.put(key, times(before[0], click.ts));
        } else if (role == 1) {
            if (before[1] != NONE) {
                state.put(key, times(before[1], NONE));
            }
        } else if (before[0] != NONE && click.ts - before[0] < WITHIN_MS) {
            state.put(key, times(NONE, before[1]));
            match(visitor, click.ts, recordTime);
        }
    }
}
