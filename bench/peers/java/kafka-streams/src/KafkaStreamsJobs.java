import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.ProcessorSupplier;
import org.apache.kafka.streams.state.Stores;

import java.util.Properties;
import java.util.concurrent.CountDownLatch;

/** The three jobs on Kafka Streams: BROKER TOPIC APP OUT JOB STATE_DIR COMMIT_MS GUARANTEE; runs until SIGTERM. */
public final class KafkaStreamsJobs {
    private KafkaStreamsJobs() {
    }

    public static void main(String[] args) throws InterruptedException {
        String guarantee = args[7];
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, args[2]);
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, args[5]);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, guarantee);
        if (guarantee.equals(StreamsConfig.AT_LEAST_ONCE)) { // exactly once: the default of 100 ms stays
            settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, Integer.parseInt(args[6]));
        }
        settings.put(StreamsConfig.mainConsumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        // The producer's own default; Kafka Streams makes it 100 ms, which would be each match's latency.
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG), 5);

        KafkaStreams streams = new KafkaStreams(topology(args[1], args[3], args[4]), settings);
        CountDownLatch ended = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            streams.close(java.time.Duration.ofSeconds(8));
            ended.countDown();
        }));
        streams.start();
        ended.await();
    }

    private static Topology topology(String topic, String out, String job) {
        ProcessorSupplier<byte[], byte[], byte[], byte[]> supplier = switch (job) {
            case "count" -> CountJob::new;
            case "sequence" -> SequenceJob::new;
            case "absence" -> AbsenceJob::new;
            default -> throw new IllegalArgumentException("no such job: " + job);
        };
        Topology topology = new Topology();
        topology.addSource("clicks", new ByteArrayDeserializer(), new ByteArrayDeserializer(), topic);
        topology.addProcessor("job", supplier, "clicks");
        for (String store : job.equals("absence") ? new String[] {"state", "deadlines"} : new String[] {"state"}) {
            var builder = Stores.keyValueStoreBuilder(
                Stores.persistentKeyValueStore(store), Serdes.Bytes(), Serdes.ByteArray());
            // A write-back cache: of a visitor's states between two commits only the last goes to the changelog.
            // Not before the deadlines, of which ranges are asked.
            topology.addStateStore(store.equals("state") ? builder.withCachingEnabled() : builder, "job");
        }
        topology.addSink("matches", out, new ByteArraySerializer(), new ByteArraySerializer(), "job");
        return topology;
    }
}
