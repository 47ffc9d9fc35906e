import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

/**
 * A checkout and no purchase for two minutes, by the event time of the partition.
 * A visitor's open checkouts are in one store; in another one, ordered by time, is who is due when.
 */
final class AbsenceJob extends JobProcessor {
    private static final long AFTER_MS = 2 * 60_000;
    private static final byte[] HERE = {1};

    private KeyValueStore<Bytes, byte[]> deadlines;
    /** No deadline is earlier; asking the store for each event would cost more than the rest. */
    private long dueAtEarliest;

    @Override
    public void init(ProcessorContext<byte[], byte[]> context) {
        super.init(context);
        deadlines = context.getStateStore("deadlines");
        dueAtEarliest = Long.MIN_VALUE; // unknown: the store may have been restored
    }

    @Override
    void look(Click click, byte[] visitor, long recordTime) {
        if (dueAtEarliest <= click.ts) {
            fire(click.ts, recordTime);
        }
        Bytes key = Bytes.wrap(visitor);
        if (click.type.equals("checkout_started")) {
            long[] open = times(state.get(key));
            long[] more = java.util.Arrays.copyOf(open, open.length + 1);
            more[open.length] = click.ts;
            state.put(key, times(more));
            deadlines.put(deadline(click.ts + AFTER_MS, visitor), HERE);
            dueAtEarliest = Math.min(dueAtEarliest, click.ts + AFTER_MS);
        } else if (click.type.equals("purchase")) {
            for (long start : times(state.get(key))) {
                deadlines.delete(deadline(start + AFTER_MS, visitor));
            }
            state.delete(key);
        }
    }

    private void fire(long now, long recordTime) {
        List<KeyValue<Bytes, byte[]>> due = new ArrayList<>();
        dueAtEarliest = Long.MAX_VALUE;
        try (KeyValueIterator<Bytes, byte[]> all = deadlines.range(null, null)) {
            while (all.hasNext()) {
                KeyValue<Bytes, byte[]> next = all.next();
                long at = ByteBuffer.wrap(next.key.get()).getLong();
                if (at > now) {
                    dueAtEarliest = at;
                    break;
                }
                due.add(next);
            }
        }
        for (KeyValue<Bytes, byte[]> one : due) {
            ByteBuffer buffer = ByteBuffer.wrap(one.key.get());
            long at = buffer.getLong();
            byte[] visitor = new byte[buffer.remaining()];
            buffer.get(visitor);
            deadlines.delete(one.key);
            Bytes key = Bytes.wrap(visitor);
            long[] left = java.util.Arrays.stream(times(state.get(key))).filter(s -> s + AFTER_MS != at).toArray();
            if (left.length == 0) {
                state.delete(key);
            } else {
                state.put(key, times(left));
            }
            match(visitor, at, recordTime);
        }
    }

    private static Bytes deadline(long at, byte[] visitor) {
        return Bytes.wrap(ByteBuffer.allocate(8 + visitor.length).putLong(at).put(visitor).array());
    }
}
