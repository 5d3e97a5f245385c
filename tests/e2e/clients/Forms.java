// java.net.http in the forms applications use; it offers an upgrade to HTTP/2 on each first request of a connection.
// Prints one JSON line per answer: name, status, HTTP version, body as a JSON string.
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.List;

public class Forms {
    static final String URL = System.getenv("CAUSEWAY_URL") + "/api/v1/credentials/ice";

    static void ask(HttpClient client, String name, String type, String query, BodyPublisher body) throws Exception {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(URL + query))
            .header("Authorization", "Bearer " + System.getenv("CAUSEWAY_API_TOKEN"))
            .POST(body);
        if (type != null) {
            request.header("Content-Type", type);
        }
        HttpResponse<String> answer = client.send(request.build(), HttpResponse.BodyHandlers.ofString());
        String text = answer.body().replace("\\", "\\\\").replace("\"", "\\\"");
        System.out.printf("{\"name\":\"%s\",\"status\":%d,\"version\":\"%s\",\"body\":\"%s\"}%n",
            name, answer.statusCode(), answer.version(), text);
    }

    public static void main(String[] arguments) throws Exception {
        String json = "application/json";
        String form = "application/x-www-form-urlencoded";
        HttpClient reused = HttpClient.newHttpClient();
        for (HttpClient client : List.of(HttpClient.newHttpClient(), reused, reused)) {
            ask(client, "no body (b)", json, "", BodyPublishers.noBody());
        }
        ask(HttpClient.newHttpClient(), "JSON with the upgrade (b, e)", json, "", BodyPublishers.ofString("{\"room\":\"demo-room\"}"));
        ask(reused, "empty JSON (e)", json, "", BodyPublishers.ofString("{}"));
        ask(reused, "form (d)", form, "", BodyPublishers.ofString("room=demo-room&ttl=600"));
        ask(reused, "empty form (c)", form, "", BodyPublishers.noBody());
        ask(reused, "no body, no type (f)", null, "", BodyPublishers.noBody());
        ask(reused, "query (g)", null, "?ttl=600&room=demo-room", BodyPublishers.noBody());
        byte[] chunk = "{\"room\":\"demo-room\"}".getBytes(StandardCharsets.UTF_8);
        ask(HttpClient.newHttpClient(), "chunked JSON with the upgrade (b, e)", json, "", BodyPublishers.ofByteArrays(List.of(chunk)));
        HttpClient plain = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        ask(plain, "HTTP/1.1 only (e)", json, "", BodyPublishers.ofString("{}"));
    }
}
