import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Produced;

/**
 * The work of {@code tests/bench/flows.py}, written for Kafka Streams as its own documentation would have it.
 *
 * <p>Arguments: {@code stateless|count BOOTSTRAP TOPIC APPLICATION_ID STATE_DIR}. Reads TOPIC, writes TOPIC.out.
 */
public final class KafkaStreamsPeer {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final Serde<byte[]> BYTES = Serdes.ByteArray();

    private KafkaStreamsPeer() {}

    public static void main(String[] args) throws InterruptedException {
        StreamsBuilder builder = new StreamsBuilder();
        if (args[0].equals("stateless")) {
            stateless(builder, args[2]);
        } else {
            count(builder, args[2]);
        }
        KafkaStreams streams = new KafkaStreams(builder.build(), settings(args[1], args[3], args[4]));
        CountDownLatch stopped = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            streams.close();
            stopped.countDown();
        }));
        streams.start();
        stopped.await();
    }

    /** Parse the JSON object, set one field, write it again under the same key. */
    private static void stateless(StreamsBuilder builder, String topic) {
        builder.stream(topic, Consumed.with(BYTES, BYTES)).mapValues(KafkaStreamsPeer::transform).to(topic + ".out", Produced.with(BYTES, BYTES));
    }

    /** Count the records of each key in RocksDB and write the new count for every record. */
    private static void count(StreamsBuilder builder, String topic) {
        builder.stream(topic, Consumed.with(Serdes.String(), BYTES))
                .groupByKey(Grouped.with(Serdes.String(), BYTES))
                .count()
                .toStream()
                .mapValues(KafkaStreamsPeer::counted)
                .to(topic + ".out", Produced.with(Serdes.String(), BYTES));
    }

    private static byte[] transform(byte[] value) {
        try {
            ObjectNode body = (ObjectNode) JSON.readTree(value);
            body.put("src", 1);
            return JSON.writeValueAsBytes(body);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static byte[] counted(Long n) {
        try {
            return JSON.writeValueAsBytes(JSON.createObjectNode().put("n", n));
        } catch (JsonProcessingException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Defaults (among them the transaction every 100 ms), but for what a fair comparison asks. */
    private static Properties settings(String bootstrap, String applicationId, String stateDir) {
        Properties settings = new Properties();
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, applicationId);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, stateDir);
        settings.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        // One process with one thread that works, as ours.
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
        // One broker here; and the same compression as ours.
        settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.COMPRESSION_TYPE_CONFIG), "lz4");
        // Ours writes an output for every record. With its cache, Kafka Streams writes the last count of a key in each
        // commit only, which is other work; without it every update also goes to its changelog one by one, where ours
        // writes each changed key once a transaction.
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 0);
        return settings;
    }
}
