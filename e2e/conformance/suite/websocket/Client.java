// WebSocket with the JDK's own client: `java Client.java call URL` checks an echo.
import java.io.ByteArrayOutputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.WebSocket;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

public class Client implements WebSocket.Listener {
    private final BlockingQueue<Object> messages = new LinkedBlockingQueue<>();
    private final CompletableFuture<String> closed = new CompletableFuture<>();
    private final CompletableFuture<String> pong = new CompletableFuture<>();
    private final StringBuilder text = new StringBuilder();
    private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();

    public static void main(String[] arguments) throws Exception {
        new Client().call(URI.create(arguments[1]));
        System.exit(0);
    }

    private void call(URI url) throws Exception {
        var socket = HttpClient.newHttpClient().newWebSocketBuilder()
                .header("X-User", "tester").subprotocols("other.v2", "echo.v1").buildAsync(url, this).get(20, TimeUnit.SECONDS);
        expect(socket.getSubprotocol(), "echo.v1");
        for (var message : new String[] {"", "hello, wörld", "x".repeat(70_000)}) {
            socket.sendText(message, true).get(20, TimeUnit.SECONDS);
            expect(next(), message);
        }
        var megabyte = new byte[1 << 20];
        for (var at = 0; at < megabyte.length; at++) {
            megabyte[at] = (byte) (at * 7 % 251);
        }
        for (var message : new byte[][] {{}, {0, (byte) 255}, megabyte}) {
            socket.sendBinary(ByteBuffer.wrap(message), true).get(20, TimeUnit.SECONDS);
            if (!Arrays.equals((byte[]) next(), message)) {
                throw new IllegalStateException(message.length + " bytes came back as others");
            }
        }
        // One message in fragments.
        for (var part : new String[] {"a", "b".repeat(500), ""}) {
            socket.sendText(part, false).get(20, TimeUnit.SECONDS);
        }
        socket.sendText("c", true).get(20, TimeUnit.SECONDS);
        expect(next(), "a" + "b".repeat(500) + "c");
        for (var number = 0; number < 300; number++) {
            socket.sendText(String.valueOf(number), true).get(20, TimeUnit.SECONDS);
        }
        for (var number = 0; number < 300; number++) {
            expect(next(), String.valueOf(number));
        }
        socket.sendPing(ByteBuffer.wrap("still there?".getBytes())).get(20, TimeUnit.SECONDS);
        expect(pong.get(20, TimeUnit.SECONDS), "still there?");
        socket.sendText("close", true).get(20, TimeUnit.SECONDS);
        expect(closed.get(20, TimeUnit.SECONDS), "4001 as asked");
    }

    private Object next() throws Exception {
        var message = messages.poll(20, TimeUnit.SECONDS);
        if (message == null) {
            throw new IllegalStateException("no message");
        }
        return message;
    }

    private static void expect(Object got, Object wanted) {
        if (!wanted.equals(got)) {
            throw new IllegalStateException("not \"" + wanted + "\" but \"" + got + "\"");
        }
    }

    @Override
    public CompletionStage<?> onText(WebSocket socket, CharSequence part, boolean last) {
        text.append(part);
        if (last) {
            messages.add(text.toString());
            text.setLength(0);
        }
        socket.request(1);
        return null;
    }

    @Override
    public CompletionStage<?> onBinary(WebSocket socket, ByteBuffer part, boolean last) {
        var copy = new byte[part.remaining()];
        part.get(copy);
        bytes.writeBytes(copy);
        if (last) {
            messages.add(bytes.toByteArray());
            bytes.reset();
        }
        socket.request(1);
        return null;
    }

    @Override
    public CompletionStage<?> onPong(WebSocket socket, ByteBuffer message) {
        var copy = new byte[message.remaining()];
        message.get(copy);
        pong.complete(new String(copy));
        socket.request(1);
        return null;
    }

    @Override
    public CompletionStage<?> onClose(WebSocket socket, int code, String reason) {
        closed.complete(code + " " + reason);
        return null;
    }

    @Override
    public void onError(WebSocket socket, Throwable error) {
        closed.completeExceptionally(error);
        pong.completeExceptionally(error);
    }
}
