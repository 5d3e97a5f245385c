// Gets an ICE credential with the JDK's own HTTP client and prints the answer. Run: java IceCredential.java
// Environment: CAUSEWAY_URL (for example http://127.0.0.1:8080), CAUSEWAY_API_TOKEN.
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;

public class IceCredential {
    static String iceCredential(String json) throws Exception {
        HttpRequest request = HttpRequest.newBuilder()
            .uri(URI.create(System.getenv("CAUSEWAY_URL") + "/api/v1/credentials/ice"))
            .header("Authorization", "Bearer " + System.getenv("CAUSEWAY_API_TOKEN"))
            .header("Content-Type", "application/json")
            .timeout(Duration.ofSeconds(10))
            .POST(HttpRequest.BodyPublishers.ofString(json))
            .build();
        HttpResponse<String> response =
            HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
        if (response.statusCode() != 200) {
            throw new IllegalStateException("no credential: " + response.statusCode() + " " + response.body());
        }
        return response.body(); // {"iceServers":[...],"expiresAt":"...","region":"..."}
    }

    public static void main(String[] arguments) throws Exception {
        System.out.println(iceCredential(
            "{\"room\":\"demo-room\",\"initiator_client\":\"alice\",\"receiver_client\":\"bob\",\"ttl\":600}"));
    }
}
