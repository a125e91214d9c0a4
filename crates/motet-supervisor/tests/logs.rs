//! What services say, under kind and unkind circumstances.

use crate::fixture::{LIMIT, System, eventually, name};
use motet_supervisor::{
    logs::{LINE_MAX, Received, Stream},
    spec::{Command, LogPolicy, ServiceSpec},
    status::Phase,
};

#[tokio::test]
async fn lines_reach_subscribers_and_files_with_where_they_came_from() {
    let system = System::start();
    let mut all = system.handle.logs().subscribe(None);
    let mut other = system.handle.logs().subscribe(Some([name("other")].into()));
    let talk = system.shell("talk", r"echo out; echo err >&2; printf 'bad \377 byte\r\n'; printf 'no end'; sleep 0.05; exec sleep 100 >/dev/null 2>&1");
    system.handle.apply(vec![talk]).await.unwrap();
    let mut live = Vec::new();
    while live.len() < 4 {
        match tokio::time::timeout(LIMIT, all.next()).await.expect("in time") {
            Received::Line(line) => live.push((line.label.to_string(), line.stream, line.text.clone())),
            Received::Lost(lost) => panic!("lost {lost}"),
        }
    }
    live.sort_by_key(|(_, stream, _)| *stream == Stream::Err);
    let line = |stream, text: &str| ("talk-1".to_owned(), stream, text.to_owned());
    let expected = [
        line(Stream::Out, "out"),
        line(Stream::Out, "bad \u{fffd} byte"),
        line(Stream::Out, "no end"),
        line(Stream::Err, "err"),
    ];
    assert_eq!(live, expected);
    let mut read = system.handle.logs().last(&name("talk"), 10).await.unwrap();
    read.sort_by_key(|line| line.stream == Stream::Err);
    assert_eq!(
        read.into_iter().map(|line| (line.label.to_string(), line.stream, line.text)).collect::<Vec<_>>(),
        expected
    );
    assert_eq!(other.try_next(), None);
    system.end().await;
}

#[tokio::test]
async fn a_flood_fills_no_more_than_its_files_and_a_slow_reader_is_told_what_it_lost() {
    let system = System::start();
    let mut slow = system.handle.logs().subscribe(None);
    let mut flood = ServiceSpec::job(name("flood"), system.path(), Command::Shell("seq 1 200000".to_owned()));
    flood.logs = LogPolicy { file_max: 100_000, files_kept: 2 };
    system.handle.apply(vec![flood]).await.unwrap();
    system.until_service("flood", "completed", |it| it.phase == Phase::Completed).await;
    let last = system.handle.logs().last(&name("flood"), 3).await.unwrap();
    assert_eq!(last.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["199999", "200000", "exited with 0"]);
    let files = std::fs::read_dir(system.path().join("logs/flood")).unwrap();
    let sizes: Vec<u64> = files.map(|file| file.unwrap().metadata().unwrap().len()).collect();
    assert!(sizes.len() == 3 && sizes.iter().all(|size| *size <= 100_000), "{sizes:?}");
    let Received::Lost(lost) = slow.next().await else { panic!("nothing lost") };
    let mut received = 0;
    while slow.try_next().is_some() {
        received += 1;
    }
    assert_eq!(lost + received, 200_001);
    assert!(received > 1_000, "{received}");
    system.end().await;
}

#[tokio::test]
async fn a_line_without_end_is_cut() {
    let system = System::start();
    let line = format!("head -c {} /dev/zero | tr '\\0' x; echo; echo after", LINE_MAX * 3);
    system.handle.apply(vec![ServiceSpec::job(name("long"), system.path(), Command::Shell(line))]).await.unwrap();
    system.until_service("long", "completed", |it| it.phase == Phase::Completed).await;
    let texts = system.texts("long").await;
    assert!(texts[0].len() < LINE_MAX + 100 && texts[0].ends_with(&format!("x … (cut: {} more bytes)", LINE_MAX * 2)));
    assert_eq!(texts[1], "after");
    system.end().await;
}

#[tokio::test]
async fn an_unread_subscription_costs_nothing_after_it_is_dropped() {
    let system = System::start();
    drop(system.handle.logs().subscribe(None));
    system.handle.apply(vec![system.shell("talk", "echo hello; sleep 100")]).await.unwrap();
    let read = || std::fs::read_to_string(system.path().join("logs/talk/current.log")).unwrap_or_default();
    eventually("written", || read().contains(" talk-1 o hello\n")).await;
    system.end().await;
}
