// The JDK's own client: `java Client.java URL http1|h2`. For h2 over TCP it asks for an upgrade (RFC 7540 section 3.2) with its first request.
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

public class Client {
    public static void main(String[] arguments) throws Exception {
        var version = arguments[1].equals("h2") ? HttpClient.Version.HTTP_2 : HttpClient.Version.HTTP_1_1;
        var client = HttpClient.newBuilder().version(version).build();
        var body = "x".repeat(64 * 1024);
        for (var method : new String[] {"GET", "POST"}) {
            var sent = method.equals("GET") ? "" : body;
            var publisher = sent.isEmpty() ? HttpRequest.BodyPublishers.noBody() : HttpRequest.BodyPublishers.ofString(sent);
            var request = HttpRequest.newBuilder(URI.create(arguments[0] + "/hello?a=b")).method(method, publisher).build();
            var answer = client.send(request, HttpResponse.BodyHandlers.ofString());
            var echo = answer.body();
            var right = echo.contains("\"method\":\"" + method + "\"") && echo.contains("\"path\":\"/hello?a=b\"") && echo.contains(sent);
            if (answer.statusCode() != 200 || !right) {
                throw new IllegalStateException(method + ": status " + answer.statusCode() + ", " + echo.substring(0, Math.min(200, echo.length())));
            }
        }
    }
}
