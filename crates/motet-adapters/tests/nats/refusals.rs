//! What the engine cannot work with is said in time, with the address, the cause and what to do.

use super::*;
use tokio::{io::AsyncWriteExt, net::TcpListener};

/// Connects in vain; what is said, and after how long.
async fn refused(url: &str) -> (String, Duration) {
    let dir = motet_testkit::place::new("motet-adapters-").unwrap();
    let store = Store::open(dir.path(), Options::default()).unwrap();
    let began = Instant::now();
    let group = TaskGroup::new();
    let connecting = Nats::connect(Settings::new(url, "refused").unwrap(), &store, &group);
    let error = timeout(Duration::from_secs(15), connecting).await.expect("it gives up").err();
    let error = error.expect("there is nothing");
    assert!(matches!(error, TransportError::Unavailable { .. }), "{error}");
    (error.to_string(), began.elapsed())
}

#[tokio::test]
async fn wrong_credentials_are_refused_at_once_and_not_shown() {
    let Some(server) = server() else { return };
    let url = format!("nats://motet:open%20sesame@{}", server.address());
    let (said, took) = refused(&url).await;
    assert!(said.contains(&server.address().to_string()) && said.contains("credentials"), "{said}");
    assert!(!said.contains("sesame") && took < Duration::from_secs(8), "{said} after {took:?}");
}

#[tokio::test]
async fn where_nothing_listens_or_something_else_does_it_says_so_after_ten_seconds() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let web = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (web_at, silent_at) = (web.local_addr().unwrap(), silent.local_addr().unwrap());
    let answering = async {
        loop {
            let (mut stream, _) = web.accept().await.unwrap();
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    };
    let (nothing, other, mute) = (format!("nats://{free}"), format!("nats://{web_at}"), format!("nats://{silent_at}"));
    let all = async { tokio::join!(refused(&nothing), refused(&other), refused(&mute)) };
    let (nothing, other, mute) = tokio::select! {
        said = all => said,
        () = answering => unreachable!("it answers for ever"),
    };
    assert!(nothing.0.contains("nothing listens") && nothing.0.contains(&free.to_string()), "{}", nothing.0);
    assert!(other.0.contains("does not speak NATS"), "{}", other.0);
    assert!(mute.0.contains("nothing that speaks NATS") || mute.0.contains("does not answer"), "{}", mute.0);
    for (said, took) in [nothing, other, mute] {
        assert!(took < Duration::from_secs(12), "{said} after {took:?}");
    }
}

#[tokio::test]
async fn a_server_without_jetstream_is_told_apart() {
    if server().is_none() {
        return;
    }
    let server = Server::start_with("").unwrap();
    let (said, _) = refused(&server.url()).await;
    assert!(said.contains("JetStream") && said.contains("nats-server -js"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_somebody_elses_is_named_and_left_alone() {
    let Some(server) = server() else { return };
    let rig = Rig::open(&server.url(), "others").await;
    let client = foreign(&server.url()).await;
    let queue =
        json!({ "name": "others_queue", "subjects": ["others.queue"], "retention": "workqueue", "storage": "file" });
    ask(&client, "STREAM.CREATE.others_queue", queue).await;
    let wide = json!({ "name": "OTHERS", "subjects": ["others.wide.>"], "storage": "file" });
    ask(&client, "STREAM.CREATE.OTHERS", wide).await;
    for (topic, word) in [("queue", "workqueue"), ("wide.one", "overlap")] {
        let error = rig.nats.ensure(&TopicSpec::new(topic.parse().unwrap())).await.expect_err(topic).to_string();
        assert!(error.contains(word) && error.contains(topic), "{error}");
    }
    let there = ask(&client, "STREAM.INFO.others_queue", Value::Null).await;
    assert_eq!(there["config"]["retention"], "workqueue");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_settings_would_lose_events_is_put_right() {
    let Some(server) = server() else { return };
    let rig = Rig::open(&server.url(), "tight").await;
    let client = foreign(&server.url()).await;
    let tight = json!({
        "name": "tight_t", "subjects": ["tight.t"], "storage": "file", "max_msgs": 2, "discard": "new", "allow_rollup_hdrs": true,
    });
    ask(&client, "STREAM.CREATE.tight_t", tight).await;
    let topic = rig.topic("t").await;
    rig.append(&topic, &["1", "2", "3", "4"]).await.unwrap();
    assert_eq!(rig.ids(&topic).await, ["1", "2", "3", "4"]);
    let there = ask(&client, "STREAM.INFO.tight_t", Value::Null).await;
    assert_eq!(there["config"]["allow_rollup_hdrs"], true, "what is not Motet's to say stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_larger_than_the_server_takes_is_refused_and_disturbs_nobody() {
    let Some(server) = server() else { return };
    let rig = Rig::open(&server.url(), "large").await;
    let topic = rig.topic("t").await;
    let event = Event::builder("huge", "/s", "t").data(vec![0; 9 << 20]).build().unwrap();
    let huge = Entry::new(event, None, now());
    let (error, fine) =
        tokio::join!(rig.nats.append(&topic, vec![entry("1"), huge], None), rig.append(&topic, &["2", "3"]));
    assert!(error.expect_err("too large").to_string().contains("max_payload"));
    fine.unwrap();
    assert_eq!(rig.ids(&topic).await, ["2", "3"]);
}
