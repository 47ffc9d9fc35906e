import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.serialization.AbstractDeserializationSchema;
import org.apache.flink.api.common.serialization.SimpleStringSchema;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.cep.CEP;
import org.apache.flink.cep.functions.PatternProcessFunction;
import org.apache.flink.cep.nfa.aftermatch.AfterMatchSkipStrategy;
import org.apache.flink.cep.pattern.Pattern;
import org.apache.flink.cep.pattern.conditions.SimpleCondition;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.KeyedStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;

/** The three jobs on Flink, in a local mini cluster: BROKER TOPIC APP OUT JOB STATE_DIR CHECKPOINT_MS. */
public final class FlinkJobs {
    private FlinkJobs() {
    }

    public static void main(String[] args) throws Exception {
        Configuration settings = new Configuration();
        settings.setString("parallelism.default", "1");
        settings.setString("state.backend.type", "hashmap");
        settings.setString("execution.checkpointing.interval", args[6] + " ms");
        settings.setString("execution.checkpointing.dir", "file://" + args[5]);
        settings.setString("pipeline.object-reuse", "true");
        settings.setString("execution.buffer-timeout.interval", "10 ms"); // 100 ms would be each match's latency
        settings.setString("taskmanager.memory.managed.size", "0"); // the hashmap backend has no use for it
        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment(settings);

        KafkaSource<Click> source = KafkaSource.<Click>builder()
            .setBootstrapServers(args[0]).setTopics(args[1]).setGroupId(args[2])
            .setStartingOffsets(OffsetsInitializer.earliest()).setValueOnlyDeserializer(new ClickSchema()).build();
        // Each partition is in the order of time.
        DataStream<Click> clicks = env.fromSource(
            source,
            WatermarkStrategy.<Click>forMonotonousTimestamps().withTimestampAssigner((click, seen) -> click.ts),
            "clicks");
        KafkaSink<String> sink = KafkaSink.<String>builder()
            .setBootstrapServers(args[0]).setDeliveryGuarantee(DeliveryGuarantee.AT_LEAST_ONCE)
            .setRecordSerializer(KafkaRecordSerializationSchema.builder()
                .setTopic(args[3]).setValueSerializationSchema(new SimpleStringSchema()).build())
            .build();
        DataStream<String> matches = switch (args[4]) {
            case "count" -> clicks.filter(Click::emptySearch).keyBy(click -> click.visitor).process(new Count());
            case "sequence" -> sequence(clicks);
            case "absence" -> absence(clicks);
            default -> throw new IllegalArgumentException("no such job: " + args[4]);
        };
        matches.sinkTo(sink);
        env.execute(args[2]);
    }

    private static DataStream<String> sequence(DataStream<Click> clicks) {
        KeyedStream<Click, String> steps = clicks
            .filter(click -> click.type.equals("product_view") || click.type.equals("cart_add")
                || click.type.equals("checkout_started"))
            .keyBy(click -> click.visitor);
        // Of what began before the matched cart nothing is left; what began after it may still match later.
        Pattern<Click, ?> pattern = Pattern.<Click>begin("view", AfterMatchSkipStrategy.skipToLast("cart"))
            .where(SimpleCondition.of(click -> click.type.equals("product_view")))
            .followedBy("cart").where(SimpleCondition.of(click -> click.type.equals("cart_add")))
            .followedBy("checkout").where(SimpleCondition.of(click -> click.type.equals("checkout_started")))
            .within(Duration.ofMinutes(10));
        return CEP.pattern(steps, pattern).process(new Found())
            // Two views with a cart each may end in one checkout, which is one match.
            .keyBy(match -> match.visitor).process(new OncePerTrigger());
    }

    private static DataStream<String> absence(DataStream<Click> clicks) {
        KeyedStream<Click, String> steps = clicks
            .filter(click -> click.type.equals("checkout_started") || click.type.equals("purchase"))
            .keyBy(click -> click.visitor);
        Pattern<Click, ?> pattern = Pattern.<Click>begin("checkout")
            .where(SimpleCondition.of(click -> click.type.equals("checkout_started")))
            .notFollowedBy("purchase").where(SimpleCondition.of(click -> click.type.equals("purchase")))
            .within(Duration.ofMinutes(2));
        return CEP.pattern(steps, pattern).process(new Missing());
    }

    static String json(String visitor, long at) {
        return "{\"visitor\":\"" + visitor + "\",\"at\":" + at + "}";
    }

    /** JSON to an event; tells when the first one came. */
    static final class ClickSchema extends AbstractDeserializationSchema<Click> {
        private static final AtomicBoolean BEGUN = new AtomicBoolean();

        @Override
        public Click deserialize(byte[] json) throws IOException {
            if (BEGUN.compareAndSet(false, true)) {
                System.out.println("first " + System.currentTimeMillis() / 1000.0);
            }
            return Click.of(json);
        }
    }

    /** Two searches without a result within five minutes. State: the times of the last two. */
    static final class Count extends KeyedProcessFunction<String, Click, String> {
        private static final long WITHIN_MS = 5 * 60_000;
        private transient ValueState<long[]> last;

        @Override
        public void open(OpenContext context) {
            last = getRuntimeContext().getState(new ValueStateDescriptor<>("last", long[].class));
        }

        @Override
        public void processElement(Click click, Context context, Collector<String> out) throws IOException {
            long[] before = last.value();
            long since = click.ts - WITHIN_MS;
            int recent = 0;
            long latest = 0;
            if (before != null) {
                for (long time : before) {
                    if (time > since) {
                        recent++;
                        latest = time;
                    }
                }
            }
            last.update(recent > 0 ? new long[] {latest, click.ts} : new long[] {click.ts});
            if (recent == 1) {
                out.collect(json(click.visitor, click.ts));
            }
        }
    }

    /** The checkout that ended a sequence. */
    static final class Found extends PatternProcessFunction<Click, Click> {
        @Override
        public void processMatch(Map<String, List<Click>> match, Context context, Collector<Click> out) {
            out.collect(match.get("checkout").get(0));
        }
    }

    /** One match for an event, however many partial ones it completed. */
    static final class OncePerTrigger extends KeyedProcessFunction<String, Click, String> {
        private transient ValueState<Long> told;

        @Override
        public void open(OpenContext context) {
            told = getRuntimeContext().getState(new ValueStateDescriptor<>("told", Long.class));
        }

        @Override
        public void processElement(Click click, Context context, Collector<String> out) throws IOException {
            Long before = told.value();
            if (before == null || before != click.ts) {
                told.update(click.ts);
                out.collect(json(click.visitor, click.ts));
            }
        }
    }

    /** A checkout whose two minutes went by. */
    static final class Missing extends PatternProcessFunction<Click, String> {
        @Override
        public void processMatch(Map<String, List<Click>> match, Context context, Collector<String> out) {
            Click checkout = match.get("checkout").get(0);
            out.collect(json(checkout.visitor, checkout.ts + 2 * 60_000));
        }
    }
}
