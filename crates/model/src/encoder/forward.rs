use rayon::prelude::*;

use super::{Affine, Encoder, Layer, MAX_TEXT, Norm};
use crate::{
    Error, Pool,
    kernel::{Buf, Left, Panels, Right, gelu, gemm, layer_norm, normalise, softmax},
};

impl Encoder {
    /// The embedding of each text: `d_model` numbers whose squares add up to 1. The first 256 tokens of a text are read.
    ///
    /// # Errors
    /// [`Error::Shape`] for an empty text or one of more than a million bytes, [`Error::Tokenizer`].
    pub fn embed(&self, pool: &Pool, texts: &[&str]) -> Result<Vec<Vec<f32>>, Error> {
        pool.install(|| texts.par_iter().map(|text| self.one(text)).collect())
    }

    fn one(&self, text: &str) -> Result<Vec<f32>, Error> {
        if text.is_empty() || text.len() > MAX_TEXT {
            return Err(Error::Shape { what: "bytes of a text", got: text.len(), limit: MAX_TEXT });
        }
        let encoding = self.tokenizer.encode_fast(text, true).map_err(|e| Error::Tokenizer(e.to_string()))?;
        Ok(self.pooled(encoding.get_ids()))
    }

    fn pooled(&self, tokens: &[u32]) -> Vec<f32> {
        let d = self.config.d_model;
        let mut x = Buf::scratch(tokens.len() * d);
        for (i, (row, token)) in x.chunks_exact_mut(d).zip(tokens).enumerate() {
            let word = &self.words[*token as usize * d..][..d];
            let position = &self.positions[i * d..][..d];
            for (j, x) in row.iter_mut().enumerate() {
                *x = word[j] + position[j] + self.segment[j];
            }
        }
        self.norm(&self.norm, &mut x);
        for layer in &self.layers {
            self.layer(layer, &mut x);
        }
        let mut mean = vec![0f32; d];
        for row in x.chunks_exact(d) {
            mean.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
        }
        normalise(&mut mean);
        mean
    }

    fn layer(&self, layer: &Layer, x: &mut Buf) {
        let mut y = Buf::scratch(x.len());
        let mixed = self.attention(layer, x);
        layer.output.apply(&mixed, &mut y);
        self.add(&layer.attention_norm, &y, x);
        let mut wide = Buf::scratch(x.len() / self.config.d_model * self.config.d_ff);
        layer.up.apply(x, &mut wide);
        gelu(&mut wide);
        layer.down.apply(&wide, &mut y);
        self.add(&layer.norm, &y, x);
    }

    /// Every token's mixture of values, the heads beside each other.
    fn attention(&self, layer: &Layer, x: &[f32]) -> Buf {
        let (d, heads) = (self.config.d_model, self.config.heads);
        let (n, head, width) = (x.len() / d, d / heads, 3 * d);
        let mut qkv = Buf::scratch(n * width);
        layer.qkv.apply(x, &mut qkv);
        let mut out = Buf::scratch(n * d);
        let mut scores = Buf::scratch(n * n);
        let scale = 1.0 / (head as f32).sqrt();
        for h in 0..heads {
            let mut keys = Panels::zeros(head, n);
            for (i, row) in qkv.chunks_exact(width).enumerate() {
                keys.set_rows(i, &row[d + h * head..][..head]);
            }
            let queries = Left::rows(&qkv[h * head..], width);
            gemm(1, (n, n, head), queries, Right::from(&keys), &mut scores, n, false);
            scores.chunks_exact_mut(n).for_each(|row| softmax(row, scale));
            let values = Right::rows(&qkv[2 * d + h * head..], width);
            gemm(1, (n, head, n), Left::rows(&scores, n), values, &mut out[h * head..], d, false);
        }
        out
    }

    /// `x = LN(x + y)`.
    fn add(&self, norm: &Norm, y: &[f32], x: &mut [f32]) {
        x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
        self.norm(norm, x);
    }

    fn norm(&self, norm: &Norm, x: &mut [f32]) {
        for row in x.chunks_exact_mut(self.config.d_model) {
            layer_norm(row, &norm.weight, &norm.bias, self.config.norm_eps);
        }
    }
}

impl Affine {
    fn apply(&self, x: &[f32], y: &mut [f32]) {
        let (input, output) = (self.weight.k(), self.bias.len());
        y.chunks_exact_mut(output).for_each(|row| row.copy_from_slice(&self.bias));
        let size = (x.len() / input, output, input);
        gemm(1, size, Left::rows(x, input), Right::from(&self.weight), y, output, true);
    }
}
