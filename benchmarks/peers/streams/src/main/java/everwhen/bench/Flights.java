package everwhen.bench;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.stream.Stream;
import org.apache.avro.Schema;
import org.apache.avro.SchemaNormalization;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;

/** The events of the flights, and an aircraft's state: what the Python projection does, on immutable records. */
final class Flights {
  private Flights() {}

  record Event(String type, String carrier, String dest, int distance, int airTime) {}

  record Aircraft(
      String airport, String carrier, int departures, int landings, int cancellations, long miles, long minutes) {
    static final Aircraft NEW = new Aircraft(null, null, 0, 0, 0, 0, 0);

    Aircraft after(Event e) {
      return switch (e.type) {
        case "flight.departed" ->
            new Aircraft(null, e.carrier, departures + 1, landings, cancellations, miles, minutes);
        case "flight.landed" ->
            new Aircraft(
                e.dest, e.carrier, departures, landings + 1, cancellations, miles + e.distance, minutes + e.airTime);
        default -> new Aircraft(airport, e.carrier, departures, landings, cancellations + 1, miles, minutes);
      };
    }
  }

  /** Reads Avro's single-object encoding. Not thread-safe: decoder and records are used again. */
  static final class Events {
    private record Known(String type, GenericDatumReader<GenericRecord> reader, boolean landing) {}

    private final Map<Long, Known> known = new HashMap<>();
    private final Map<Long, GenericRecord> records = new HashMap<>();
    private BinaryDecoder decoder;

    Events(Path schemas) {
      try (Stream<Path> types = Files.list(schemas)) {
        for (Path type : types.toList()) {
          Schema schema = new Schema.Parser().parse(Files.readString(type.resolve("1.avsc")));
          String name = type.getFileName().toString();
          long fingerprint = SchemaNormalization.parsingFingerprint64(schema);
          known.put(fingerprint, new Known(name, new GenericDatumReader<>(schema), name.equals("flight.landed")));
        }
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }

    Event read(byte[] value) {
      long id = ByteBuffer.wrap(value).order(java.nio.ByteOrder.LITTLE_ENDIAN).getLong(2);
      Known type = known.get(id);
      try {
        decoder = DecoderFactory.get().binaryDecoder(value, 10, value.length - 10, decoder);
        GenericRecord r = type.reader.read(records.get(id), decoder);
        records.put(id, r);
        int distance = type.landing ? ((Long) r.get("distance")).intValue() : 0;
        int airTime = type.landing ? ((Long) r.get("air_time")).intValue() : 0;
        return new Event(type.type, r.get("carrier").toString(), r.get("dest").toString(), distance, airTime);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }

  /** States in a few bytes: cheaper than JSON, in favour of this peer. */
  static Serde<Aircraft> states() {
    return Serdes.serdeFrom((topic, state) -> state == null ? null : write(state), (topic, bytes) -> read(bytes));
  }

  private static byte[] write(Aircraft s) {
    ByteBuffer b = ByteBuffer.allocate(128);
    put(b, s.airport);
    put(b, s.carrier);
    b.putInt(s.departures).putInt(s.landings).putInt(s.cancellations).putLong(s.miles).putLong(s.minutes);
    return Arrays.copyOf(b.array(), b.position());
  }

  private static Aircraft read(byte[] bytes) {
    if (bytes == null) {
      return null;
    }
    ByteBuffer b = ByteBuffer.wrap(bytes);
    String airport = text(b);
    String carrier = text(b);
    return new Aircraft(airport, carrier, b.getInt(), b.getInt(), b.getInt(), b.getLong(), b.getLong());
  }

  private static void put(ByteBuffer b, String text) {
    byte[] bytes = text == null ? null : text.getBytes(StandardCharsets.UTF_8);
    b.put((byte) (bytes == null ? -1 : bytes.length));
    if (bytes != null) {
      b.put(bytes);
    }
  }

  private static String text(ByteBuffer b) {
    int size = b.get();
    if (size < 0) {
      return null;
    }
    byte[] bytes = new byte[size];
    b.get(bytes);
    return new String(bytes, StandardCharsets.UTF_8);
  }
}
