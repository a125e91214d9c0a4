//! Prints what a definition says: `cargo run -p motet-model --example check -- motet.yaml [profile …]`.
#![expect(clippy::print_stdout, reason = "it is for looking at")]

fn main() {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().unwrap_or_else(|| ".".into()).into();
    let (profiles, env) = (arguments.collect(), std::env::vars().collect());
    let options = motet_model::LoadOptions { file, profiles, env, judge: None };
    match motet_model::load(&options) {
        Ok(loaded) => println!("{:#?}\n{}", loaded.system, loaded.warnings),
        Err(problems) => println!("{}", problems.render(motet_model::Style::PLAIN)),
    }
}
