// Publishes and takes events with the CloudEvents SDK for Java over the JDK's own HTTP, and knows Motet by two addresses only.
//
// `POST /publish?topic=…&mode=…` makes events of what the test describes and publishes them; `POST /on/…` takes events and writes down what
// the SDK made of them; `GET /seen` tells it.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import io.cloudevents.CloudEvent;
import io.cloudevents.core.builder.CloudEventBuilder;
import io.cloudevents.http.HttpMessageFactory;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.time.OffsetDateTime;
import java.util.Base64;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executors;

public final class Main {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final HttpClient CLIENT = HttpClient.newHttpClient();
    private static final String EVENTS = System.getenv("MOTET_URL");
    private static final String TABLES = """
            CREATE TABLE IF NOT EXISTS inbox (
              handler TEXT NOT NULL,
              source TEXT NOT NULL,
              id TEXT NOT NULL,
              taken_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
              PRIMARY KEY (handler, source, id)
            )""";

    public static void main(String[] arguments) throws Exception {
        try (var store = openStore(); var statement = store.createStatement()) {
            statement.execute("PRAGMA journal_mode = WAL");
            statement.execute(TABLES);
            statement.execute("CREATE TABLE IF NOT EXISTS seen (way TEXT NOT NULL, event TEXT NOT NULL)");
        }
        var address = new InetSocketAddress(InetAddress.getLoopbackAddress(), Integer.parseInt(System.getenv("PORT")));
        var server = HttpServer.create(address, 128);
        server.setExecutor(Executors.newFixedThreadPool(16));
        server.createContext("/", Main::handle);
        server.start();
    }

    private static Connection openStore() throws SQLException {
        return DriverManager.getConnection("jdbc:sqlite:" + System.getenv("SQLITE_PATH") + "?busy_timeout=10000");
    }

    private static void handle(HttpExchange exchange) throws IOException {
        try {
            var body = exchange.getRequestBody().readAllBytes();
            switch (exchange.getRequestURI().getPath()) {
                case "/healthz" -> answer(exchange, 200, JSON.createObjectNode());
                case "/seen" -> answer(exchange, 200, seen());
                case "/publish" -> answer(exchange, 200, publish(exchange.getRequestURI().getQuery(), JSON.readTree(body)));
                default -> take(exchange, body);
            }
        } catch (Exception e) {
            e.printStackTrace();
            answer(exchange, 500, JSON.createObjectNode().put("error", e.toString()));
        }
    }

    private static void answer(HttpExchange exchange, int status, JsonNode value) throws IOException {
        var body = JSON.writeValueAsBytes(value);
        exchange.getResponseHeaders().add("content-type", "application/json");
        exchange.sendResponseHeaders(status, status == 204 ? -1 : body.length);
        if (status != 204) exchange.getResponseBody().write(body);
        exchange.close();
    }

    private static void take(HttpExchange exchange, byte[] body) throws Exception {
        var event = HttpMessageFactory.createReaderFromMultimap(exchange.getRequestHeaders(), body).toEvent();
        var path = exchange.getRequestURI().getPath();
        var fails = "fail=1".equals(exchange.getRequestURI().getQuery());
        try (var store = openStore()) {
            Inbox.once(store, path, event.getSource().toString(), event.getId(), it -> {
                try (var insert = it.prepareStatement("INSERT INTO seen VALUES (?, ?)")) {
                    insert.setString(1, path);
                    insert.setString(2, toldOf(event).toString());
                    insert.executeUpdate();
                }
                if (fails) throw new IllegalStateException("as it was asked to");
            });
        }
        answer(exchange, 204, JSON.nullNode());
    }

    private static JsonNode seen() throws Exception {
        var list = JSON.createArrayNode();
        try (var store = openStore(); var statement = store.createStatement();
                var rows = statement.executeQuery("SELECT way, event FROM seen")) {
            while (rows.next()) list.addObject().put("way", rows.getString(1)).set("event", JSON.readTree(rows.getString(2)));
        }
        return list;
    }

    private static JsonNode publish(String query, JsonNode all) throws Exception {
        var topic = query.replaceAll(".*topic=([^&]*).*", "$1");
        var statuses = JSON.createArrayNode();
        for (var told : all) {
            var request = HttpRequest.newBuilder(URI.create(EVENTS + "/topics/" + topic));
            var sent = new CompletableFuture<byte[]>();
            var writer = HttpMessageFactory.createWriter(request::header, bytes -> sent.complete(bytes == null ? new byte[0] : bytes));
            if (query.contains("mode=structured")) writer.writeStructured(eventOf(told), "application/cloudevents+json");
            else writer.writeBinary(eventOf(told));
            var answer = CLIENT.send(request.POST(HttpRequest.BodyPublishers.ofByteArray(sent.join())).build(), BodyHandlers.ofString());
            if (answer.statusCode() != 202) System.out.println(topic + " " + answer.statusCode() + " " + answer.body());
            statuses.add(answer.statusCode());
        }
        return statuses;
    }

    /** The event that the test describes. */
    private static CloudEvent eventOf(JsonNode told) throws IOException {
        var event = CloudEventBuilder.v1().withId(told.get("id").asText()).withSource(URI.create(told.get("source").asText()));
        event.withType(told.get("type").asText());
        if (told.has("subject")) event.withSubject(told.get("subject").asText());
        if (told.has("time")) event.withTime(OffsetDateTime.parse(told.get("time").asText()));
        if (told.has("datacontenttype")) event.withDataContentType(told.get("datacontenttype").asText());
        if (told.has("dataschema")) event.withDataSchema(URI.create(told.get("dataschema").asText()));
        told.path("extensions").fields().forEachRemaining(extension -> {
            var value = extension.getValue();
            if (value.isInt()) event.withExtension(extension.getKey(), value.intValue());
            else if (value.isBoolean()) event.withExtension(extension.getKey(), value.booleanValue());
            else event.withExtension(extension.getKey(), value.asText());
        });
        var data = told.path("data");
        if (data.has("json")) event.withData(JSON.writeValueAsBytes(data.get("json")));
        if (data.has("text")) event.withData(data.get("text").asText().getBytes(StandardCharsets.UTF_8));
        if (data.has("base64")) event.withData(Base64.getDecoder().decode(data.get("base64").asText()));
        return event.build();
    }

    /** What the SDK made of an event, described as the test does. */
    private static ObjectNode toldOf(CloudEvent event) throws IOException {
        var told = JSON.createObjectNode();
        for (var name : event.getAttributeNames()) {
            if (!name.equals("specversion")) told.put(name, event.getAttribute(name).toString());
        }
        var extensions = told.putObject("extensions");
        for (var name : event.getExtensionNames()) extensions.putPOJO(name, event.getExtension(name));
        var data = event.getData() == null ? new byte[0] : event.getData().toBytes();
        var type = event.getDataContentType() == null ? "application/json" : event.getDataContentType();
        if (data.length > 0 && type.contains("json")) told.putObject("data").set("json", JSON.readTree(data));
        else if (data.length > 0 && (type.startsWith("text/") || type.endsWith("xml"))) told.putObject("data").put("text", new String(data, StandardCharsets.UTF_8));
        else if (data.length > 0) told.putObject("data").put("base64", Base64.getEncoder().encodeToString(data));
        return told;
    }
}
