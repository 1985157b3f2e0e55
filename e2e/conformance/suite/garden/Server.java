import com.sun.net.httpserver.HttpServer;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HexFormat;
import java.util.StringJoiner;
import java.util.concurrent.Executors;

/** The JDK's server: says which requests it saw, one JSON line each. */
public class Server {
    public static void main(String[] arguments) throws IOException {
        Path seen = Path.of(arguments[1]);
        HttpServer server = HttpServer.create(new InetSocketAddress("0.0.0.0", Integer.parseInt(arguments[0])), 512);
        server.setExecutor(Executors.newFixedThreadPool(16));
        server.createContext("/", exchange -> {
            ByteArrayOutputStream body = new ByteArrayOutputStream();
            boolean cut = false;
            try {
                exchange.getRequestBody().transferTo(body);
            } catch (IOException error) {
                cut = true;
            }
            StringJoiner fields = new StringJoiner(",");
            exchange.getRequestHeaders().forEach((name, values) ->
                values.forEach(value -> fields.add("[" + text(name) + "," + text(value) + "]")));
            String host = exchange.getRequestHeaders().getFirst("host");
            String line = "{\"method\":" + text(exchange.getRequestMethod())
                + ",\"target\":" + text(exchange.getRequestURI().toString())
                + ",\"host\":" + text(host == null ? "" : host)
                + ",\"fields\":[" + fields + "],\"body\":\"" + HexFormat.of().formatHex(body.toByteArray())
                + "\",\"cut\":" + cut + "}\n";
            synchronized (Server.class) {
                Files.writeString(seen, line, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
            }
            boolean head = exchange.getRequestMethod().equals("HEAD");
            // It cannot read trailers: such requests are cut short for it.
            exchange.sendResponseHeaders(cut ? 400 : 200, head ? -1 : 4);
            if (!head) {
                exchange.getResponseBody().write("seen".getBytes(StandardCharsets.US_ASCII));
            }
            exchange.close();
        });
        server.start();
    }

    private static String text(String raw) {
        StringBuilder out = new StringBuilder("\"");
        for (char letter : raw.toCharArray()) {
            if (letter == '"' || letter == '\\' || letter < ' ') {
                out.append(String.format("\\u%04x", (int) letter));
            } else {
                out.append(letter);
            }
        }
        return out.append('"').toString();
    }
}
