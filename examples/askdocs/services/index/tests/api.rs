//! What the index promises, one sentence each.

use crate::stand::{Answer, FakeEmbedder, deleted, deliver, index, parts, put, search, send, texts, told};
use axum::Router;
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

struct Stand {
    service: Router,
    embedder: FakeEmbedder,
    folder: TempDir,
}

impl Stand {
    async fn new() -> Self {
        let (embedder, folder) = (FakeEmbedder::start().await, tempfile::tempdir().unwrap());
        let service = index(&folder.path().join("index.sqlite"), &embedder.url);
        Self { service, embedder, folder }
    }

    fn told(&self) -> Vec<(String, Value)> {
        told(&self.folder.path().join("index.sqlite"))
    }

    fn another_instance(&self) -> Router {
        index(&self.folder.path().join("index.sqlite"), &self.embedder.url)
    }
}

#[tokio::test]
async fn a_passage_is_found_by_its_words_by_its_meaning_and_by_both() {
    let Stand { service, .. } = &Stand::new().await;
    let mut events = parts("book", 1, &["Bananas are yellow.", "A lease that is not renewed expires."]);
    let data = &mut events[0]["data"];
    (data["title"], data["items"][1]["heading"], data["items"][1]["page"]) =
        (json!("Book"), json!("Registry › Leases"), json!(3));
    assert_eq!(deliver(service, events).await, [204]);

    for (mode, ranks) in [
        ("hybrid", json!({"text": 1, "vector": 1})),
        ("text", json!({"text": 1, "vector": null})),
        ("vector", json!({"text": null, "vector": 1})),
    ] {
        let (status, answer) = search(service, "when does a lease expire?", mode).await;
        assert_eq!((status, &answer["mode"], &answer["degraded"]), (StatusCode::OK, &json!(mode), &json!(false)));
        let hit = &answer["hits"][0];
        assert_eq!((&hit["document"], &hit["passage"], &hit["page"]), (&json!("book"), &json!("1"), &json!(3)));
        assert_eq!((&hit["title"], &hit["heading"]), (&json!("Book"), &json!("Registry › Leases")));
        assert_eq!(hit["ranks"], ranks, "{mode}");
    }
}

#[tokio::test]
async fn a_newer_version_takes_the_place_of_the_old_one_once_all_its_parts_are_there() {
    let stand = Stand::new().await;
    let service = &stand.service;
    deliver(service, parts("d", 1, &["old words about apples"])).await;
    let many: Vec<String> = (0..40).map(|n| format!("new words about pears {n}")).collect();
    let mut newer = parts("d", 2, &many.iter().map(String::as_str).collect::<Vec<_>>());
    let last = newer.remove(1);
    assert_eq!(deliver(service, newer).await, [204, 204]);
    let (_, found) = search(service, "words about apples and pears", "text").await;
    assert_eq!(texts(&found), ["old words about apples"]);

    assert_eq!(deliver(service, vec![last]).await, [204]);
    let (_, stats) = send(service, Method::GET, "/stats", Value::Null).await;
    assert_eq!(stats, json!({"documents": 1, "passages": 40, "model": "fake", "dimensions": 64}));
    let indexed = |version, passages| json!({"document": "d", "version": version, "passages": passages});
    let topic = "document.indexed.v1".to_owned();
    assert_eq!(stand.told(), [(topic.clone(), indexed(1, 1)), (topic, indexed(2, 40))]);
    let (_, found) = send(service, Method::GET, "/documents/d", Value::Null).await;
    let ordinals: Vec<u64> =
        found["passages"].as_array().unwrap().iter().map(|p| p["ordinal"].as_u64().unwrap()).collect();
    assert_eq!(ordinals, (0..40).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_comes_twice_or_late_changes_nothing_and_is_told_once() {
    let stand = Stand::new().await;
    let many: Vec<String> = (0..20).map(|n| format!("apples {n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for version in [2, 2, 1] {
        let twice = [parts("d", version, &many), parts("d", version, &many)].concat();
        assert_eq!(deliver(&stand.service, twice).await, [204; 4]);
    }
    let (_, stats) = send(&stand.service, Method::GET, "/stats", Value::Null).await;
    assert_eq!((&stats["documents"], &stats["passages"]), (&json!(1), &json!(20)));
    assert_eq!(stand.told().len(), 1);
}

#[tokio::test]
async fn a_document_that_was_deleted_does_not_come_back_with_what_was_on_its_way() {
    let stand = Stand::new().await;
    let many: Vec<String> = (0..20).map(|n| format!("apples {n}")).collect();
    let mut before = parts("d", 1, &many.iter().map(String::as_str).collect::<Vec<_>>());
    let late = before.pop().unwrap();
    deliver(&stand.service, before).await;
    assert_eq!(deliver(&stand.service, vec![deleted("d", 2), late, deleted("d", 2)]).await, [204; 3]);
    assert_eq!(deliver(&stand.service, parts("d", 1, &["apples"])).await, [204]);
    let (_, stats) = send(&stand.service, Method::GET, "/stats", Value::Null).await;
    assert_eq!((&stats["documents"], stand.told().len()), (&json!(0), 0));
    assert_eq!(deliver(&stand.service, parts("d", 3, &["apples again"])).await, [204]);
    assert_eq!(texts(&search(&stand.service, "apples", "text").await.1), ["apples again"]);
}

#[tokio::test]
async fn an_event_that_makes_no_sense_is_refused_and_told_of_and_takes_no_other_with_it() {
    let stand = Stand::new().await;
    let (mut short, mut unreadable, mut broken_off) =
        (parts("a", 1, &["x"]), parts("b", 1, &["x"]), parts("c", 1, &["x"]));
    short[0]["data"]["dimensions"] = json!(65);
    unreadable[0]["data"]["version"] = json!("one");
    broken_off[0]["motetattempt"] = json!(16);
    let good = parts("good", 1, &["apples"]);
    assert_eq!(deliver(&stand.service, [short, unreadable, broken_off, good].concat()).await, [422, 422, 422, 204]);
    let told = stand.told();
    let of: Vec<_> = told.iter().map(|(topic, data)| (topic.as_str(), data["document"].as_str().unwrap())).collect();
    let failed = "document.failed.v1";
    assert_eq!(of, [(failed, "a"), (failed, "c"), ("document.indexed.v1", "good")]);
    assert_eq!(told[0].1["step"], "indexing");
    assert!(told[1].1["reason"].as_str().unwrap().contains("broken off"), "{told:?}");
    // Repaired and delivered again, it goes on.
    assert_eq!(deliver(&stand.service, parts("a", 1, &["x"])).await, [204]);
    assert_eq!(stand.told().last().unwrap().1["document"], "a");
}

#[tokio::test]
async fn without_the_embedder_words_alone_are_searched_and_the_answer_says_so() {
    let Stand { service, embedder, .. } = &Stand::new().await;
    put(service, "d", &["apples are red", "bananas are yellow"]).await;
    embedder.answer(Answer::Failing);
    let (status, answer) = search(service, "which colour have bananas?", "hybrid").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!((&answer["degraded"], &answer["mode"]), (&json!(true), &json!("text")));
    assert!(answer["reason"].as_str().unwrap().contains("503"), "{answer}");
    assert_eq!(texts(&answer), ["bananas are yellow"]);

    let (status, problem) = search(service, "bananas", "vector").await;
    assert_eq!(
        (status, &problem["type"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!("urn:askdocs:problem:no-embedder"))
    );

    embedder.answer(Answer::Nonsense);
    let (_, answer) = search(service, "bananas", "hybrid").await;
    assert!(answer["reason"].as_str().unwrap().contains("makes no sense"), "{answer}");
}

#[tokio::test]
async fn vectors_of_two_models_are_never_mixed() {
    let Stand { service, embedder, .. } = &Stand::new().await;
    put(service, "d", &["apples"]).await;
    let mut other = parts("e", 1, &["pears"]);
    other[0]["data"]["model"] = json!("another");
    assert_eq!(deliver(service, other.clone()).await, [422]);
    embedder.answer(Answer::OtherModel);
    let (_, answer) = search(service, "apples", "hybrid").await;
    assert_eq!((&answer["degraded"], texts(&answer)), (&json!(true), vec!["apples"]));
    deliver(service, vec![deleted("d", 1000)]).await;
    assert_eq!(deliver(service, other).await, [204], "an empty index takes any model");
}

#[tokio::test]
async fn two_instances_over_one_file_see_each_others_changes() {
    let stand = Stand::new().await;
    let other = stand.another_instance();
    put(&stand.service, "d", &["apples are red"]).await;
    assert_eq!(texts(&search(&other, "apples", "hybrid").await.1), ["apples are red"]);
    put(&other, "d", &["apples are green"]).await;
    assert_eq!(texts(&search(&stand.service, "apples", "hybrid").await.1), ["apples are green"]);
    deliver(&other, vec![deleted("d", 1000)]).await;
    assert_eq!(texts(&search(&stand.service, "apples", "hybrid").await.1), Vec::<&str>::new());
}

#[tokio::test]
async fn a_new_instance_finds_what_the_old_one_found_in_the_same_order() {
    let stand = Stand::new().await;
    for n in 0..20 {
        let (first, second) = (format!("apples number {n}"), format!("pears and apples {n}"));
        put(&stand.service, &format!("d{n:02}"), &[&first, &second]).await;
    }
    let before = search(&stand.service, "pears and apples number 7", "hybrid").await;
    assert_eq!(search(&stand.another_instance(), "pears and apples number 7", "hybrid").await, before);
}

#[tokio::test]
async fn of_many_versions_whose_parts_come_in_any_order_the_newest_is_there_in_the_end_and_whole() {
    let stand = Stand::new().await;
    let version = |version: u64| {
        let texts: Vec<String> = (0..40).map(|p| format!("version{version} passage{p}")).collect();
        parts("d", version, &texts.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let mut events: Vec<Value> = (1..=12).flat_map(version).collect();
    // Mixed as by chance, and the same each time.
    events.sort_by_key(|event| event.to_string().bytes().map(u64::from).sum::<u64>() % 97);
    let instances = [stand.service.clone(), stand.another_instance()];
    let deliveries = events.chunks(3).enumerate().map(|(at, chunk)| {
        let (service, chunk) = (instances[at % 2].clone(), chunk.to_vec());
        tokio::spawn(async move { deliver(&service, chunk).await })
    });
    for delivery in deliveries.collect::<Vec<_>>() {
        assert!(delivery.await.unwrap().iter().all(|status| *status == 204));
    }
    let (_, found) = send(&stand.service, Method::GET, "/documents/d", Value::Null).await;
    let mut passages = found["passages"].as_array().unwrap().iter().map(|p| p["text"].as_str().unwrap());
    assert!(passages.clone().count() == 40 && passages.all(|text| text.starts_with("version12 ")), "{found}");
}

#[tokio::test]
async fn a_list_is_read_page_by_page() {
    let Stand { service, .. } = &Stand::new().await;
    for id in ["c", "a", "b"] {
        put(service, id, &["x"]).await;
    }
    let (_, first) = send(service, Method::GET, "/documents?limit=2", Value::Null).await;
    let ids = |page: &Value| -> Vec<String> {
        page["documents"].as_array().unwrap().iter().map(|d| d["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!((ids(&first), &first["next"]), (vec!["a".into(), "b".into()], &json!("b")));
    let (_, rest) = send(service, Method::GET, "/documents?limit=2&after=b", Value::Null).await;
    assert_eq!((ids(&rest), &rest["next"]), (vec!["c".into()], &Value::Null));
}

#[tokio::test]
async fn no_question_is_a_syntax_error_and_one_that_cannot_be_asked_says_why() {
    let Stand { service, .. } = &Stand::new().await;
    put(service, "d", &["apples are red"]).await;
    for query in ["+apples -(\"", "title:apples AND ^~*[a TO b]", "the of and", "🍎", "apples\u{0}"] {
        assert_eq!(search(service, query, "hybrid").await.0, StatusCode::OK, "{query:?}");
    }
    let cases = [
        (json!({"query": " "}), "query is 1 bytes long"),
        (json!({"query": "x".repeat(4001)}), "query is 4001 bytes long"),
        (json!({"query": "x", "limit": 0}), "limit is 0"),
        (json!({"query": "x", "limit": 51}), "limit is 51"),
        (json!({"query": "x", "mode": "magic"}), "unknown variant `magic`"),
        (json!({"question": "x"}), "unknown field `question`"),
    ];
    for (body, detail) in cases {
        let (status, problem) = send(service, Method::POST, "/search", body).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(problem["detail"].as_str().unwrap().contains(detail), "{problem}");
    }
}
