//! What the index promises, one sentence each.

use crate::stand::{Answer, FakeEmbedder, index, put, search, send, texts};
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

    fn another_instance(&self) -> Router {
        index(&self.folder.path().join("index.sqlite"), &self.embedder.url)
    }
}

#[tokio::test]
async fn a_passage_is_found_by_its_words_by_its_meaning_and_by_both() {
    let Stand { service, .. } = &Stand::new().await;
    let passages = json!([
        {"text": "Bananas are yellow.", "id": "b", "heading": "Fruit"},
        {"text": "A lease that is not renewed expires.", "id": "l", "heading": "Registry › Leases", "page": 3}
    ]);
    let document = json!({"title": "Book", "source": "book.pdf", "passages": passages});
    let (status, answer) = send(service, Method::PUT, "/documents/a%2Fbook.pdf", document).await;
    assert_eq!((status, &answer), (StatusCode::CREATED, &json!({"id": "a/book.pdf", "passages": 2, "changed": true})));

    for (mode, ranks) in [
        ("hybrid", json!({"text": 1, "vector": 1})),
        ("text", json!({"text": 1, "vector": null})),
        ("vector", json!({"text": null, "vector": 1})),
    ] {
        let (status, answer) = search(service, "when does a lease expire?", mode).await;
        assert_eq!((status, &answer["mode"], &answer["degraded"]), (StatusCode::OK, &json!(mode), &json!(false)));
        let hit = &answer["hits"][0];
        assert_eq!((&hit["document"], &hit["passage"], &hit["page"]), (&json!("a/book.pdf"), &json!("l"), &json!(3)));
        assert_eq!((&hit["title"], &hit["heading"]), (&json!("Book"), &json!("Registry › Leases")));
        assert_eq!(hit["ranks"], ranks, "{mode}");
    }
}

#[tokio::test]
async fn a_document_that_is_put_again_takes_the_place_of_the_old_one() {
    let Stand { service, .. } = &Stand::new().await;
    put(service, "d", &["old words about apples", "more old words"]).await;
    let (status, answer) = put(service, "d", &["new words about pears"]).await;
    assert_eq!((status, &answer["changed"]), (StatusCode::OK, &json!(true)));
    let (_, found) = search(service, "words about apples and pears", "hybrid").await;
    assert_eq!(texts(&found), ["new words about pears"]);
    let (_, stats) = send(service, Method::GET, "/stats", Value::Null).await;
    assert_eq!(stats, json!({"documents": 1, "passages": 1, "model": "fake", "dimensions": 64}));
}

#[tokio::test]
async fn a_document_that_has_not_changed_is_not_embedded_again() {
    let Stand { service, embedder, .. } = &Stand::new().await;
    put(service, "d", &["the same"]).await;
    assert_eq!(embedder.calls(), 1);
    let (status, answer) = put(service, "d", &["the same"]).await;
    assert_eq!((status, &answer["changed"], embedder.calls()), (StatusCode::OK, &json!(false), 1));
}

#[tokio::test]
async fn without_the_embedder_words_alone_are_searched_and_the_answer_says_so() {
    let Stand { service, embedder, .. } = &Stand::new().await;
    put(service, "d", &["apples are red", "bananas are yellow"]).await;
    embedder.answer(Answer::FailFrom(0));
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
async fn a_put_that_fails_half_way_leaves_the_old_version() {
    let Stand { service, embedder, .. } = &Stand::new().await;
    put(service, "d", &["the old version"]).await;
    let many: Vec<String> = (0..70).map(|n| format!("new passage {n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    embedder.answer(Answer::FailFrom(2));
    let (status, problem) = put(service, "d", &many).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{problem}");
    let (_, found) = search(service, "version passage", "text").await;
    assert_eq!(texts(&found), ["the old version"]);

    embedder.answer(Answer::Well);
    assert_eq!(put(service, "d", &many).await.0, StatusCode::OK);
    let (_, found) = send(service, Method::GET, "/documents/d", Value::Null).await;
    assert_eq!(found["passages"].as_array().unwrap().len(), 70);
}

#[tokio::test]
async fn vectors_of_two_models_are_never_mixed() {
    let Stand { service, embedder, .. } = &Stand::new().await;
    put(service, "d", &["apples"]).await;
    embedder.answer(Answer::OtherModel);
    let (status, problem) = put(service, "e", &["pears"]).await;
    assert_eq!((status, &problem["type"]), (StatusCode::CONFLICT, &json!("urn:askdocs:problem:model-changed")));
    let (_, answer) = search(service, "apples", "hybrid").await;
    assert_eq!((&answer["degraded"], texts(&answer)), (&json!(true), vec!["apples"]));
    send(service, Method::DELETE, "/documents/d", Value::Null).await;
    assert_eq!(put(service, "e", &["pears"]).await.0, StatusCode::CREATED, "an empty index takes any model");
}

#[tokio::test]
async fn a_deleted_document_is_not_found_and_deleting_it_twice_is_no_error() {
    let Stand { service, .. } = &Stand::new().await;
    put(service, "d", &["apples"]).await;
    for _ in 0..2 {
        let (status, _) = send(service, Method::DELETE, "/documents/d", Value::Null).await;
        assert_eq!(status, StatusCode::NO_CONTENT);
    }
    assert_eq!(texts(&search(service, "apples", "hybrid").await.1), Vec::<&str>::new());
    assert_eq!(send(service, Method::GET, "/documents/d", Value::Null).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn two_instances_over_one_file_see_each_others_changes() {
    let stand = Stand::new().await;
    let other = stand.another_instance();
    put(&stand.service, "d", &["apples are red"]).await;
    assert_eq!(texts(&search(&other, "apples", "hybrid").await.1), ["apples are red"]);
    put(&other, "d", &["apples are green"]).await;
    assert_eq!(texts(&search(&stand.service, "apples", "hybrid").await.1), ["apples are green"]);
    send(&other, Method::DELETE, "/documents/d", Value::Null).await;
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
async fn of_many_puts_of_one_document_at_once_one_is_there_in_the_end_and_whole() {
    let stand = Stand::new().await;
    let puts: Vec<_> = (0..12)
        .map(|n| {
            let service = stand.service.clone();
            tokio::spawn(async move {
                let texts: Vec<String> = (0..40).map(|p| format!("writer{n} passage{p}")).collect();
                put(&service, "d", &texts.iter().map(String::as_str).collect::<Vec<_>>()).await.0
            })
        })
        .collect();
    let mut created = 0;
    for put in puts {
        let status = put.await.unwrap();
        assert!(status.is_success(), "{status}");
        created += usize::from(status == StatusCode::CREATED);
    }
    assert_eq!(created, 1);
    let (_, found) = send(&stand.service, Method::GET, "/documents/d", Value::Null).await;
    let writers: Vec<&str> = found["passages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["text"].as_str().unwrap().split(' ').next().unwrap())
        .collect();
    assert_eq!(writers, vec![writers[0]; 40]);
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
