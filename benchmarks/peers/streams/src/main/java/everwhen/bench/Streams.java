package everwhen.bench;

import everwhen.bench.Flights.Aircraft;
import everwhen.bench.Flights.Event;
import everwhen.bench.Flights.Events;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.LongAdder;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Utils;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.processor.TimestampExtractor;
import org.apache.kafka.streams.query.StateQueryRequest;
import org.apache.kafka.streams.query.VersionedKeyQuery;
import org.apache.kafka.streams.state.Stores;
import org.apache.kafka.streams.state.VersionedRecord;

/**
 * The fold of the flights in Kafka Streams: {@code groupByKey().aggregate()} into a versioned store, exactly once.
 *
 * <p>Arguments: bootstrap servers, topic, schemas, state directory, application id, threads, events, and a file of
 * questions (a key and an instant in milliseconds a line) with the seconds to ask, or nothing. Prints the seconds from
 * the state RUNNING to the last event, and questions a second, as JSON.
 */
public final class Streams {
  private static final String STORE = "aircraft";
  private static final LongAdder DONE = new LongAdder();

  private Streams() {}

  public static void main(String[] a) throws Exception {
    String bootstrap = a[0];
    String application = a[4];
    long events = Long.parseLong(a[6]);
    try (KafkaStreams streams = new KafkaStreams(topology(a[1], Path.of(a[2])), settings(a))) {
      CountDownLatch running = new CountDownLatch(1);
      streams.setStateListener(
          (now, before) -> {
            if (now == KafkaStreams.State.RUNNING) {
              running.countDown();
            }
          });
      streams.start();
      running.await();
      long began = System.nanoTime();
      while (DONE.sum() < events) {
        Thread.sleep(1);
      }
      double seconds = (System.nanoTime() - began) / 1e9;
      double asked = a.length > 7 ? ask(streams, Path.of(a[7]), Double.parseDouble(a[8])) : 0;
      System.out.printf(Locale.ROOT, "{\"seconds\": %.6f, \"asked\": %.3f}%n", seconds, asked);
    }
    try (Admin admin = Admin.create(Map.of("bootstrap.servers", (Object) bootstrap))) {
      admin.deleteTopics(List.of(application + "-" + STORE + "-changelog")).all().get();
    }
  }

  private static Properties settings(String[] a) {
    Properties p = new Properties();
    p.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, a[0]);
    p.put(StreamsConfig.STATE_DIR_CONFIG, a[3]);
    p.put(StreamsConfig.APPLICATION_ID_CONFIG, a[4]);
    p.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, a[5]);
    p.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    p.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
    p.put("auto.offset.reset", "earliest");
    return p;
  }

  private static Topology topology(String topic, Path schemas) {
    // Threads share a source's deserializer, and a reader is not thread-safe.
    ThreadLocal<Events> readers = ThreadLocal.withInitial(() -> new Events(schemas));
    Serde<Event> events = Serdes.serdeFrom((t, e) -> null, (t, value) -> readers.get().read(value));
    TimestampExtractor occurred =
        (r, before) -> {
          byte[] time = r.headers().lastHeader("ce_time").value();
          return Instant.parse(new String(time, StandardCharsets.US_ASCII)).toEpochMilli();
        };
    StreamsBuilder builder = new StreamsBuilder();
    builder.stream(topic, Consumed.with(Serdes.String(), events).withTimestampExtractor(occurred))
        .groupByKey()
        .aggregate(
            () -> Aircraft.NEW,
            (key, event, state) -> {
              DONE.increment();
              return state.after(event);
            },
            Materialized.<String, Aircraft>as(
                    Stores.persistentVersionedKeyValueStore(STORE, Duration.ofDays(400)))
                .withKeySerde(Serdes.String())
                .withValueSerde(Flights.states()));
    return builder.build();
  }

  private static double ask(KafkaStreams streams, Path file, double seconds) throws Exception {
    List<StateQueryRequest<VersionedRecord<Aircraft>>> requests = new ArrayList<>();
    for (String line : Files.readAllLines(file)) {
      String[] part = line.split(" ");
      // The partition is told, which spares the search in all of them.
      int partition = Utils.toPositive(Utils.murmur2(part[0].getBytes(StandardCharsets.UTF_8))) % 4;
      Instant at = Instant.ofEpochMilli(Long.parseLong(part[1]));
      requests.add(
          StateQueryRequest.inStore(STORE)
              .withQuery(VersionedKeyQuery.<String, Aircraft>withKey(part[0]).asOf(at))
              .withPartitions(Set.of(partition)));
    }
    askFor(streams, requests, seconds); // compiles the code and fills caches
    return askFor(streams, requests, seconds);
  }

  private static double askFor(
      KafkaStreams streams, List<StateQueryRequest<VersionedRecord<Aircraft>>> requests, double seconds) {
    long began = System.nanoTime();
    long until = began + (long) (seconds * 1e9);
    long asked = 0;
    while (System.nanoTime() < until) {
      var answer = streams.query(requests.get((int) (asked % requests.size()))).getOnlyPartitionResult();
      if (answer == null || answer.getResult() == null) {
        throw new IllegalStateException("every question was to have an answer");
      }
      asked++;
    }
    return asked / ((System.nanoTime() - began) / 1e9);
  }
}
