import org.apache.kafka.common.utils.Bytes;

/** Two searches without a result within five minutes. State: the times of the last two. */
final class CountJob extends JobProcessor {
    private static final long WITHIN_MS = 5 * 60_000;

    @Override
    void look(Click click, byte[] visitor, long recordTime) {
        if (!click.emptySearch()) {
            return;
        }
        Bytes key = Bytes.wrap(visitor);
        long since = click.ts - WITHIN_MS;
        long last = NONE;
        int recent = 0;
        for (long time : times(state.get(key))) {
            if (time > since) {
                recent++;
                last = time;
            }
        }
        state.put(key, recent > 0 ? times(last, click.ts) : times(click.ts));
        if (recent == 1) {
            match(visitor, click.ts, recordTime);
        }
    }
}
