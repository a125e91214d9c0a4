//! The network: BERT's encoder (Devlin et al. 2018, §3) over candle's tensors, and the pooling of Sentence-BERT
//! (Reimers and Gurevych 2019, §3).
//!
//! Shapes in the comments: `b` texts in the batch, `t` tokens in the longest of them, `h` numbers per token.

use crate::model_files::Configuration;
use candle_core::{D, DType, Device, Result, Tensor};
use candle_nn::{
    Embedding, LayerNorm, Linear, Module, VarBuilder, embedding, layer_norm, linear, ops::softmax_last_dim,
};

/// The weights of the network, ready to use.
pub struct Bert {
    words: Embedding,
    positions: Embedding,
    kind: Tensor,
    norm: LayerNorm,
    layers: Vec<Layer>,
}

struct Layer {
    attention: Attention,
    attention_norm: LayerNorm,
    widen: Linear,
    narrow: Linear,
    norm: LayerNorm,
}

/// Query, key and value in one matrix: one large multiplication is faster than three small ones.
struct Attention {
    query_key_value: Linear,
    output: Linear,
    heads: usize,
}

impl Bert {
    /// Takes the weights out of a verified safetensors file.
    pub fn load(weights: Vec<u8>, configuration: &Configuration) -> Result<Self> {
        let Configuration { hidden_size: h, layer_norm_eps: eps, .. } = *configuration;
        let file = VarBuilder::from_buffered_safetensors(weights, DType::F32, &Device::Cpu)?;
        let embeddings = file.pp("embeddings");
        let kinds = embedding(configuration.type_vocab_size, h, embeddings.pp("token_type_embeddings"))?;
        let layer = |number| Layer::load(&file.pp("encoder.layer").pp(number), configuration);
        Ok(Self {
            words: embedding(configuration.vocab_size, h, embeddings.pp("word_embeddings"))?,
            positions: embedding(configuration.max_position_embeddings, h, embeddings.pp("position_embeddings"))?,
            kind: kinds.embeddings().get(0)?,
            norm: layer_norm(h, eps, embeddings.pp("LayerNorm"))?,
            layers: (0..configuration.num_hidden_layers).map(layer).collect::<Result<_>>()?,
        })
    }

    /// One vector of length one per text.
    ///
    /// `tokens` is `(b, t)` with any token where a shorter text is filled up; `mask` is `(b, t)`, 1 for a token and 0 for
    /// filling.
    pub fn embed(&self, tokens: &Tensor, mask: &Tensor) -> Result<Tensor> {
        let (_, t) = tokens.dims2()?;
        let positions = self.positions.forward(&Tensor::arange(0, u32::try_from(t)?, tokens.device())?)?;
        let mut x = self.words.forward(tokens)?.broadcast_add(&positions)?.broadcast_add(&self.kind)?;
        x = self.norm.forward(&x)?;
        // 0 where there is a token, a number too low to matter where there is filling: (b, 1, 1, t).
        let bias = ((mask - 1.0)? * 1e9)?.unsqueeze(1)?.unsqueeze(1)?;
        for layer in &self.layers {
            x = layer.forward(&x, &bias)?;
        }
        let mask = mask.unsqueeze(2)?;
        let mean = x.broadcast_mul(&mask)?.sum(1)?.broadcast_div(&mask.sum(1)?)?;
        mean.broadcast_div(&mean.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?)
    }
}

impl Layer {
    fn load(file: &VarBuilder<'_>, configuration: &Configuration) -> Result<Self> {
        let Configuration { hidden_size: h, intermediate_size: wide, layer_norm_eps: eps, .. } = *configuration;
        Ok(Self {
            attention: Attention::load(&file.pp("attention"), h, configuration.num_attention_heads)?,
            attention_norm: layer_norm(h, eps, file.pp("attention.output.LayerNorm"))?,
            widen: linear(h, wide, file.pp("intermediate.dense"))?,
            narrow: linear(wide, h, file.pp("output.dense"))?,
            norm: layer_norm(h, eps, file.pp("output.LayerNorm"))?,
        })
    }

    fn forward(&self, x: &Tensor, bias: &Tensor) -> Result<Tensor> {
        let x = self.attention_norm.forward(&(x + self.attention.forward(x, bias)?)?)?;
        let wide = self.widen.forward(&x)?.gelu_erf()?;
        self.norm.forward(&(&x + self.narrow.forward(&wide)?)?)
    }
}

impl Attention {
    fn load(file: &VarBuilder<'_>, h: usize, heads: usize) -> Result<Self> {
        let parts = ["query", "key", "value"].map(|part| linear(h, h, file.pp("self").pp(part)));
        let [query, key, value] = parts;
        let (query, key, value) = (query?, key?, value?);
        let weights = Tensor::cat(&[query.weight(), key.weight(), value.weight()], 0)?;
        let biases: Vec<&Tensor> = [&query, &key, &value].into_iter().filter_map(Linear::bias).collect();
        let query_key_value = Linear::new(weights, Some(Tensor::cat(&biases, 0)?));
        Ok(Self { query_key_value, output: linear(h, h, file.pp("output.dense"))?, heads })
    }

    fn forward(&self, x: &Tensor, bias: &Tensor) -> Result<Tensor> {
        let (b, t, h) = x.dims3()?;
        let size = h / self.heads;
        // (b, t, 3h) → (3, b, heads, t, size)
        let all = self.query_key_value.forward(x)?.reshape((b, t, 3, self.heads, size))?.permute((2, 0, 3, 1, 4))?;
        let (query, key, value) = (all.get(0)?.contiguous()?, all.get(1)?, all.get(2)?.contiguous()?);
        let query = (query * (size as f64).powf(-0.5))?;
        let scores = query.matmul(&key.t()?.contiguous()?)?.broadcast_add(bias)?;
        let mixed = softmax_last_dim(&scores)?.matmul(&value)?;
        self.output.forward(&mixed.transpose(1, 2)?.reshape((b, t, h))?)
    }
}
