//! The half that searches by words: BM25 over tantivy, with English stemming.
//!
//! It lives in memory and holds nothing but words and numbers of passages; what a passage says stays with the projection.
//!
//! Title, heading and text of a passage are one field. As three fields whose scores are added, a word in a short heading
//! outweighs everything that the text says; measured over the evaluation's questions, one field finds a third more.

use crate::projection::{Key, Scored};
use crate::store::Version;
use tantivy::collector::TopDocs;
use tantivy::query::{BooleanQuery, Query, TermQuery};
use tantivy::schema::{FAST, Field, INDEXED, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::tokenizer::{LowerCaser, RemoveLongFilter, SimpleTokenizer, Stemmer, StopWordFilter, TextAnalyzer};
use tantivy::{Index, IndexReader, IndexWriter, ReloadPolicy, TantivyDocument, Term};

/// Words of a question that count; a longer question is cut.
const WORDS_MAX: usize = 64;
const WRITER_MEMORY_BYTES: usize = 32 * 1024 * 1024;
const ANALYZER: &str = "english";

/// Words that stand in every question and say nothing about what is asked.
#[rustfmt::skip]
const STOP_WORDS: &[&str] = &[
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "can", "could", "did", "do", "does", "for", "from", "had", "has",
    "have", "how", "i", "if", "in", "into", "is", "it", "its", "me", "my", "of", "on", "or", "our", "should", "so", "such",
    "that", "the", "their", "them", "then", "there", "these", "they", "this", "to", "was", "we", "were", "what", "when",
    "where", "which", "who", "whom", "whose", "why", "will", "with", "would", "you", "your",
];

/// The words of all passages.
pub struct TextIndex {
    writer: IndexWriter,
    reader: IndexReader,
    analyzer: TextAnalyzer,
    fields: Fields,
}

#[derive(Clone, Copy)]
struct Fields {
    document: Field,
    position: Field,
    words: Field,
}

fn analyzer() -> TextAnalyzer {
    TextAnalyzer::builder(SimpleTokenizer::default())
        .filter(RemoveLongFilter::limit(60))
        .filter(LowerCaser)
        .filter(StopWordFilter::remove(STOP_WORDS.iter().map(|word| (*word).to_owned())))
        .filter(Stemmer::default())
        .build()
}

impl TextIndex {
    /// An index without a passage.
    pub fn new() -> tantivy::Result<Self> {
        let mut schema = Schema::builder();
        let words = TextOptions::default().set_indexing_options(
            TextFieldIndexing::default().set_tokenizer(ANALYZER).set_index_option(IndexRecordOption::WithFreqs),
        );
        let fields = Fields {
            document: schema.add_i64_field("document", FAST | INDEXED),
            position: schema.add_u64_field("position", FAST),
            words: schema.add_text_field("words", words),
        };
        let index = Index::create_in_ram(schema.build());
        index.tokenizers().register(ANALYZER, analyzer());
        let writer = index.writer_with_num_threads(1, WRITER_MEMORY_BYTES)?;
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        Ok(Self { writer, reader, analyzer: analyzer(), fields })
    }

    /// Adds the passages of a document; seen by searches after [`TextIndex::commit`].
    pub fn add(&self, number: i64, version: &Version) -> tantivy::Result<()> {
        for (position, passage) in (0_u64..).zip(&version.passages) {
            let mut entry = TantivyDocument::new();
            entry.add_i64(self.fields.document, number);
            entry.add_u64(self.fields.position, position);
            let heading = passage.heading.as_deref().unwrap_or_default();
            entry.add_text(self.fields.words, format!("{}\n{heading}\n{}", version.title, passage.text));
            self.writer.add_document(entry)?;
        }
        Ok(())
    }

    /// Takes the passages of a document out; no longer seen after [`TextIndex::commit`].
    pub fn remove(&self, number: i64) {
        self.writer.delete_term(Term::from_field_i64(self.fields.document, number));
    }

    /// Makes what was added and removed visible, all at once.
    pub fn commit(&mut self) -> tantivy::Result<()> {
        self.writer.commit()?;
        self.reader.reload()
    }

    /// The `limit` passages that match the question's words best.
    ///
    /// The question is taken as words, never as a query language: there is nothing in it that could be a syntax error.
    pub fn search(&self, question: &str, limit: usize) -> tantivy::Result<Vec<Scored>> {
        let mut words = Vec::new();
        self.analyzer.clone().token_stream(question).process(&mut |token| {
            if words.len() < WORDS_MAX && !words.contains(&token.text) {
                words.push(token.text.clone());
            }
        });
        if words.is_empty() || limit == 0 {
            return Ok(Vec::new());
        }
        let terms = words.iter().map(|word| -> Box<dyn Query> {
            let term = Term::from_field_text(self.fields.words, word);
            Box::new(TermQuery::new(term, IndexRecordOption::WithFreqs))
        });
        let query = BooleanQuery::union(terms.collect());
        let searcher = self.reader.searcher();
        let mut found = Vec::new();
        for (score, address) in searcher.search(&query, &TopDocs::with_limit(limit).order_by_score())? {
            let columns = searcher.segment_reader(address.segment_ord).fast_fields();
            let document = columns.i64("document")?.first(address.doc_id);
            let position = columns.u64("position")?.first(address.doc_id).and_then(|position| position.try_into().ok());
            if let (Some(document), Some(position)) = (document, position) {
                found.push(Scored { key: Key { document, position }, score });
            }
        }
        found.sort_unstable_by(Scored::better);
        Ok(found)
    }
}
