import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.atomic.AtomicBoolean;

/** What the jobs have in common: decoding, the store of a visitor's times, matches. */
abstract class JobProcessor implements Processor<byte[], byte[], byte[], byte[]> {
    /** No such time. */
    static final long NONE = Long.MIN_VALUE;
    private static final AtomicBoolean BEGUN = new AtomicBoolean();

    ProcessorContext<byte[], byte[]> context;
    KeyValueStore<Bytes, byte[]> state;

    @Override
    public void init(ProcessorContext<byte[], byte[]> context) {
        this.context = context;
        this.state = context.getStateStore("state");
    }

    @Override
    public void process(Record<byte[], byte[]> record) {
        if (BEGUN.compareAndSet(false, true)) {
            System.out.println("first " + System.currentTimeMillis() / 1000.0);
        }
        try {
            look(Click.of(record.value()), record.key(), record.timestamp());
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    abstract void look(Click click, byte[] visitor, long recordTime);

    void match(byte[] visitor, long at, long recordTime) {
        String json = "{\"visitor\":\"" + new String(visitor, StandardCharsets.UTF_8) + "\",\"at\":" + at + "}";
        context.forward(new Record<>(visitor, json.getBytes(StandardCharsets.UTF_8), recordTime));
    }

    static byte[] times(long... times) {
        ByteBuffer buffer = ByteBuffer.allocate(8 * times.length);
        for (long time : times) {
            buffer.putLong(time);
        }
        return buffer.array();
    }

    static long[] times(byte[] bytes) {
        if (bytes == null) {
            return new long[0];
        }
        long[] times = new long[bytes.length / 8];
        ByteBuffer.wrap(bytes).asLongBuffer().get(times);
        return times;
    }
}
