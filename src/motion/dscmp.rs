//! DSCMP: "Dynamic and Static Context-aware LSTM for Multi-agent Motion Prediction" (Tao, Jiang, Duan & Luo, ECCV 2020).
//!
//! An LSTM encoder whose states pass through differentiable queues, an individual context module (ICM) over a walker's
//! own queues, a social-aware context module (SCM) over the neighbours' queues, a latent variable inferred from the
//! layout of the ground, and a decoder of K futures. No code was published; where the paper leaves a choice:
//!
//! - **Queue**: the next step starts from a learned mixture, for each channel, of the last `queue` hidden and cell
//!   states, so long dependencies have short paths. Started as the newest entry alone, which is an ordinary LSTM.
//! - **ICM**: a linear map of both queues. Beside it the raw past goes in: what eight points say exactly should not have
//!   to survive a recurrence, and without it errors grow by a tenth.
//! - **SCM**: temporal attention from a walker's state to the queues of each neighbour, joined with where the neighbour
//!   was (spatial), then attention and maximum over neighbours, behind a gate. Whole neighbourhoods are dropped in
//!   training, else a network learns the crowds of its scenes by heart.
//! - **Latent**: z ~ N(μ, σ²) from the walkable ground around a walker, an unknown ground having a learned code. The K
//!   draws are K learned points ε of the standard normal, z = μ + σε, so that best-of-K does not depend on luck.
//! - **Decoder**: all twelve steps at once, added to constant velocity, and a score for each future. An unrolled LSTM
//!   costs twelve times as much and was no better in the field's comparisons.

use candle_core::{D, Result, Tensor};
use candle_nn::{Init, Linear, Module as _, VarBuilder, linear, linear_no_bias};
use serde::{Deserialize, Serialize};

use super::frame::{Batch, GROUND_CELLS, NEIGHBOURS, PAIR_FEATURES, PAST_FEATURES, STEP_FEATURES};
use super::{OBS_LEN, PRED_LEN, SAMPLES};
use crate::nn::activation::{Activation, relu};
use crate::nn::lstm::lstm_cell;
use crate::nn::norm::group_norm;

/// Width of embedded steps.
const EMBED: usize = 32;
/// Width of temporal attention.
const TEMPORAL: usize = 32;
/// Width of a neighbour's description, and heads that attend to it.
const SOCIAL: usize = 64;
const HEADS: usize = 4;
/// Numbers of the latent variable.
const LATENT: usize = 8;
/// Width of the decoder that the latent variable enters.
const DECODE: usize = 64;
const FUTURE: usize = PRED_LEN * 2;

/// Sizes, and modules that can be switched off to measure what they are worth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
pub struct DscmpConfig {
    /// Width of the LSTM
    #[arg(long, default_value_t = 64)]
    pub hidden: usize,

    /// Width of the context
    #[arg(long, default_value_t = 192)]
    pub width: usize,

    /// States that the queues hold; 1 is an ordinary LSTM
    #[arg(long, default_value_t = 4)]
    pub queue: usize,

    /// Leave out the individual context module: the last hidden state alone goes on
    #[arg(long)]
    pub no_icm: bool,

    /// Leave out the social-aware context module
    #[arg(long)]
    pub no_scm: bool,

    /// Leave out the latent of the ground: draws are from the standard normal
    #[arg(long)]
    pub no_scene: bool,
}

impl Default for DscmpConfig {
    fn default() -> Self {
        Self {
            hidden: 64,
            width: 192,
            queue: 4,
            no_icm: false,
            no_scm: false,
            no_scene: false,
        }
    }
}

/// What the network says about the egos of a batch, in their own frames.
pub struct Prediction {
    /// [egos, SAMPLES, PRED_LEN · 2]
    pub futures: Tensor,
    /// Log-odds of the futures, [egos, SAMPLES].
    pub scores: Tensor,
    /// Mean divergence of the latent from the standard normal.
    pub divergence: Tensor,
}

/// How a forward pass is run in training; in prediction it is `None`.
#[derive(Clone, Copy, Debug)]
pub struct Noise {
    /// Share of dropped channels.
    pub dropout: f32,
    /// Standard deviation of what is added to the learned draws, as part of theirs.
    pub draws: f64,
}

/// The network.
pub struct Dscmp {
    config: DscmpConfig,
    embed: Linear,
    from_step: Linear,
    from_hidden: Linear,
    /// [queue, hidden] for hidden and for cell states, before softmax over the queue.
    mixture: [Tensor; 2],
    icm: Linear,
    past: Linear,
    blocks: Vec<Block>,
    scm: Option<Scm>,
    ground: Option<Ground>,
    norm: Norm,
    futures: Linear,
    scores: Linear,
    /// The learned points of the standard normal, [SAMPLES, LATENT].
    draws: Tensor,
    from_context: Linear,
    from_draw: Linear,
    decode: Linear,
}

/// The last hidden and cell states of some walkers, newest first.
struct Queues {
    hidden: Vec<Tensor>,
    cell: Vec<Tensor>,
}

impl Dscmp {
    /// Builds the network from weights.
    ///
    /// # Errors
    /// When `vb` has not the tensors.
    pub fn load(config: &DscmpConfig, vb: VarBuilder) -> Result<Self> {
        let (h, w, q) = (config.hidden, config.width, config.queue.clamp(1, OBS_LEN));
        let config = DscmpConfig {
            queue: q,
            ..config.clone()
        };
        let mixture = |name: &str| vb.get_with_hints((q, h), name, Init::Const(0.0));
        let icm_in = if config.no_icm { h } else { 2 * q * h };
        Ok(Self {
            embed: linear(STEP_FEATURES, EMBED, vb.pp("embed"))?,
            from_step: linear(EMBED, 4 * h, vb.pp("lstm.step"))?,
            from_hidden: linear_no_bias(h, 4 * h, vb.pp("lstm.hidden"))?,
            mixture: [mixture("queue.hidden")?, mixture("queue.cell")?],
            icm: linear(icm_in, w, vb.pp("icm"))?,
            past: linear(PAST_FEATURES, w, vb.pp("past"))?,
            blocks: (0..3)
                .map(|i| Block::load(w, vb.pp(format!("block{i}"))))
                .collect::<Result<_>>()?,
            scm: match config.no_scm {
                true => None,
                false => Some(Scm::load(&config, vb.pp("scm"))?),
            },
            ground: match config.no_scene {
                true => None,
                false => Some(Ground::load(vb.pp("ground"))?),
            },
            norm: Norm::load(w, vb.pp("norm"))?,
            futures: linear(w, SAMPLES * FUTURE, vb.pp("futures"))?,
            scores: linear(w, SAMPLES, vb.pp("scores"))?,
            draws: vb.get_with_hints(
                (SAMPLES, LATENT),
                "draws",
                Init::Randn {
                    mean: 0.0,
                    stdev: 1.0,
                },
            )?,
            from_context: linear(w, DECODE, vb.pp("decode.context"))?,
            from_draw: linear_no_bias(LATENT, DECODE, vb.pp("decode.draw"))?,
            decode: linear_no_bias(DECODE, FUTURE, vb.pp("decode.out"))?,
            config,
        })
    }

    /// Its sizes and switches.
    pub fn config(&self) -> &DscmpConfig {
        &self.config
    }

    /// Futures of all egos.
    pub fn forward(&self, batch: &Batch, noise: Option<Noise>) -> Result<Prediction> {
        let dropout = noise.map_or(0.0, |n| n.dropout);
        let queues = self.encode(&batch.steps)?;
        let own = queues.of(&batch.egos)?;
        let individual = match self.config.no_icm {
            true => own.hidden[0].clone(),
            false => Tensor::cat(&own.all(), 1)?,
        };
        let mut context = (self.icm.forward(&individual)? + self.past.forward(&batch.past)?)?;
        context = self.blocks[0].forward(&context, dropout)?;
        if let Some(scm) = &self.scm {
            let social = scm.forward(&context, &queues, batch)?;
            context = (context + social)?;
        }
        for block in &self.blocks[1..] {
            context = block.forward(&context, dropout)?;
        }
        let context = self.norm.forward(&context, Activation::None)?;
        self.decode(&context, batch, noise)
    }

    /// Runs the LSTM over all walkers' steps [walkers, OBS_LEN, STEP_FEATURES].
    fn encode(&self, steps: &Tensor) -> Result<Queues> {
        let walkers = steps.dim(0)?;
        let inputs = relu(
            &self
                .embed
                .forward(&steps.reshape((walkers * OBS_LEN, STEP_FEATURES))?)?,
        )?;
        let inputs = self.from_step.forward(&inputs)?;
        let inputs = inputs.reshape((walkers, OBS_LEN, 4 * self.config.hidden))?;
        let zero = Tensor::zeros((walkers, self.config.hidden), steps.dtype(), steps.device())?;
        let mut queues = Queues {
            hidden: vec![zero.clone(); self.config.queue],
            cell: vec![zero; self.config.queue],
        };
        let shares = [self.shares(0)?, self.shares(1)?];
        for t in 0..OBS_LEN {
            let hidden = mixed(&queues.hidden, &shares[0])?;
            let cell = mixed(&queues.cell, &shares[1])?;
            let gates = inputs.narrow(1, t, 1)?.squeeze(1)?;
            let gates = (gates + self.from_hidden.forward(&hidden)?)?;
            let (hidden, cell) = lstm_cell(&gates, &cell)?;
            queues.push(hidden, cell);
        }
        Ok(queues)
    }

    /// Weights of the queue's entries, [queue, hidden]. A bias of 3 towards the newest: training starts as an LSTM.
    fn shares(&self, of: usize) -> Result<Tensor> {
        let queue = self.config.queue;
        let mut newest = vec![0f32; queue];
        newest[0] = 3.0;
        let newest = Tensor::from_vec(newest, (queue, 1), self.mixture[of].device())?;
        candle_nn::ops::softmax(&self.mixture[of].broadcast_add(&newest)?, 0)
    }

    fn decode(&self, context: &Tensor, batch: &Batch, noise: Option<Noise>) -> Result<Prediction> {
        let n = context.dim(0)?;
        let mut draws = self.draws.unsqueeze(0)?; // [1, SAMPLES, LATENT]
        if let Some(noise) = noise {
            let shape = (n, SAMPLES, LATENT);
            let jitter = Tensor::randn(0f32, noise.draws as f32, shape, context.device())?;
            draws = draws.broadcast_add(&jitter)?;
        }
        let mut divergence = Tensor::zeros((), context.dtype(), context.device())?;
        if let Some(ground) = &self.ground {
            let (mean, log_sigma) = ground.forward(&batch.ground, &batch.is_known)?;
            let variance = (&log_sigma * 2.0)?.exp()?;
            let terms = ((mean.sqr()? + variance)? - (&log_sigma * 2.0)?)?;
            divergence = ((terms - 1.0)? * 0.5)?.sum(1)?.mean(0)?;
            draws = draws
                .broadcast_mul(&log_sigma.exp()?.unsqueeze(1)?)?
                .broadcast_add(&mean.unsqueeze(1)?)?;
        }
        let (rows, samples, _) = draws.dims3()?;
        let by_draw = self
            .from_draw
            .forward(&draws.reshape((rows * samples, LATENT))?)?;
        let by_draw = by_draw.reshape((rows, samples, DECODE))?;
        let by_context = self.from_context.forward(context)?.unsqueeze(1)?;
        let drawn = relu(&by_draw.broadcast_add(&by_context)?.contiguous()?)?;
        let drawn = self
            .decode
            .forward(&drawn.reshape((n * SAMPLES, DECODE))?)?;
        let futures = self
            .futures
            .forward(context)?
            .reshape((n, SAMPLES, FUTURE))?;
        let futures = (futures + drawn.reshape((n, SAMPLES, FUTURE))?)?;
        Ok(Prediction {
            futures: futures.broadcast_add(&batch.drift)?,
            scores: self.scores.forward(context)?,
            divergence,
        })
    }
}

/// Sum of the entries by their shares [queue, hidden].
fn mixed(entries: &[Tensor], shares: &Tensor) -> Result<Tensor> {
    let [only] = entries else {
        let mut sum = entries[0].broadcast_mul(&shares.narrow(0, 0, 1)?)?;
        for (i, entry) in entries.iter().enumerate().skip(1) {
            sum = (sum + entry.broadcast_mul(&shares.narrow(0, i, 1)?)?)?;
        }
        return Ok(sum);
    };
    Ok(only.clone())
}

impl Queues {
    fn push(&mut self, hidden: Tensor, cell: Tensor) {
        self.hidden.rotate_right(1);
        self.hidden[0] = hidden;
        self.cell.rotate_right(1);
        self.cell[0] = cell;
    }

    /// The queues of some walkers.
    fn of(&self, rows: &Tensor) -> Result<Self> {
        let pick = |list: &[Tensor]| {
            list.iter()
                .map(|t| t.contiguous()?.index_select(rows, 0))
                .collect()
        };
        let (hidden, cell): (Result<Vec<_>>, Result<Vec<_>>) =
            (pick(&self.hidden), pick(&self.cell));
        Ok(Self {
            hidden: hidden?,
            cell: cell?,
        })
    }

    fn all(&self) -> Vec<&Tensor> {
        self.hidden.iter().chain(&self.cell).collect()
    }
}

/// A normalised vector with learned scale and shift.
struct Norm {
    gamma: Tensor,
    beta: Tensor,
}

impl Norm {
    fn load(width: usize, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            gamma: vb.get_with_hints(width, "weight", Init::Const(1.0))?,
            beta: vb.get_with_hints(width, "bias", Init::Const(0.0))?,
        })
    }

    fn forward(&self, xs: &Tensor, act: Activation) -> Result<Tensor> {
        let (n, width) = xs.dims2()?;
        let planes = xs.reshape((n, width, 1, 1))?;
        group_norm(&planes, &self.gamma, &self.beta, 1, 1e-5, act)?.reshape((n, width))
    }
}

/// `x + W₂ dropout(relu(W₁ norm(x)))`.
struct Block {
    norm: Norm,
    up: Linear,
    down: Linear,
}

impl Block {
    fn load(width: usize, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            norm: Norm::load(width, vb.pp("norm"))?,
            up: linear(width, 2 * width, vb.pp("up"))?,
            down: linear(2 * width, width, vb.pp("down"))?,
        })
    }

    fn forward(&self, xs: &Tensor, dropout: f32) -> Result<Tensor> {
        let inner = relu(&self.up.forward(&self.norm.forward(xs, Activation::None)?)?)?;
        let inner = match dropout > 0.0 {
            true => candle_nn::ops::dropout(&inner, dropout)?,
            false => inner,
        };
        xs + self.down.forward(&inner)?
    }
}

/// Social-aware context.
struct Scm {
    ask_time: Linear,
    key_time: Linear,
    value_time: Linear,
    space: Linear,
    join: Linear,
    ask: Linear,
    key: Linear,
    out: Linear,
    gate: Linear,
}

impl Scm {
    fn load(config: &DscmpConfig, vb: VarBuilder) -> Result<Self> {
        let (h, w) = (config.hidden, config.width);
        Ok(Self {
            ask_time: linear_no_bias(w, TEMPORAL, vb.pp("ask_time"))?,
            key_time: linear_no_bias(2 * h, TEMPORAL, vb.pp("key_time"))?,
            value_time: linear_no_bias(2 * h, TEMPORAL, vb.pp("value_time"))?,
            space: linear(PAIR_FEATURES, SOCIAL, vb.pp("space"))?,
            join: linear(SOCIAL + TEMPORAL, SOCIAL, vb.pp("join"))?,
            ask: linear_no_bias(w, SOCIAL, vb.pp("ask"))?,
            key: linear_no_bias(SOCIAL, SOCIAL, vb.pp("key"))?,
            out: linear_no_bias(2 * SOCIAL, w, vb.pp("out"))?,
            gate: linear(w + 2 * SOCIAL, w, vb.pp("gate"))?,
        })
    }

    /// What the neighbours add to `context` [egos, width].
    fn forward(&self, context: &Tensor, queues: &Queues, batch: &Batch) -> Result<Tensor> {
        let n = context.dim(0)?;
        let (q, pairs) = (queues.hidden.len(), n * NEIGHBOURS);
        // Keys and values are of a walker, not of a pair: computed once however many look at them.
        let (mut keys, mut values) = (Vec::with_capacity(q), Vec::with_capacity(q));
        for (hidden, cell) in queues.hidden.iter().zip(&queues.cell) {
            let state = Tensor::cat(&[hidden, cell], 1)?;
            keys.push(self.key_time.forward(&state)?);
            values.push(self.value_time.forward(&state)?);
        }
        let gather = |list: Vec<Tensor>| -> Result<Tensor> {
            let stacked = Tensor::cat(&list, 1)?.index_select(&batch.neighbours, 0)?;
            stacked.reshape((n, NEIGHBOURS * q, TEMPORAL))
        };
        let (keys, values) = (gather(keys)?, gather(values)?);
        let ask = (self.ask_time.forward(context)? * (TEMPORAL as f64).powf(-0.5))?.unsqueeze(1)?;
        let when = keys.broadcast_mul(&ask)?.sum(D::Minus1)?; // [n, NEIGHBOURS · q]
        let when = candle_nn::ops::softmax(&when.reshape((n, NEIGHBOURS, q))?, D::Minus1)?;
        let temporal = values
            .broadcast_mul(&when.reshape((n, NEIGHBOURS * q, 1))?)?
            .reshape((pairs, q, TEMPORAL))?
            .sum(1)?;
        let spatial = relu(
            &self
                .space
                .forward(&batch.pairs.reshape((pairs, PAIR_FEATURES))?)?,
        )?;
        let joined = relu(
            &self
                .join
                .forward(&Tensor::cat(&[&spatial, &temporal], 1)?)?,
        )?;

        let width = SOCIAL / HEADS;
        let heads = (n, NEIGHBOURS, HEADS, width);
        let ask = (self.ask.forward(context)? * (width as f64).powf(-0.5))?;
        let ask = ask.reshape((n, 1, HEADS, width))?;
        let scores = self
            .key
            .forward(&joined)?
            .reshape(heads)?
            .broadcast_mul(&ask)?;
        // A missing neighbour gets no attention; when all are missing the shares are zeroed below.
        let absent = ((&batch.is_near - 1.0)? * 1e4)?.unsqueeze(2)?;
        let scores = scores.sum(D::Minus1)?.broadcast_add(&absent)?; // [n, NEIGHBOURS, HEADS]
        let is_near = batch.is_near.unsqueeze(2)?;
        let shares = candle_nn::ops::softmax(&scores, 1)?.broadcast_mul(&is_near)?;
        let attended = joined
            .reshape(heads)?
            .broadcast_mul(&shares.unsqueeze(3)?)?
            .sum(1)?
            .reshape((n, SOCIAL))?;
        // Values are not negative, so zero stands for nobody.
        let most = joined
            .reshape((n, NEIGHBOURS, SOCIAL))?
            .broadcast_mul(&is_near)?
            .max(1)?;
        let social = Tensor::cat(&[attended, most], 1)?;
        let gate = self.gate.forward(&Tensor::cat(&[context, &social], 1)?)?;
        candle_nn::ops::sigmoid(&gate)? * self.out.forward(&social)?
    }
}

/// The latent variable of the ground around a walker.
struct Ground {
    read: Linear,
    /// Stands in for a ground that is not known.
    unknown: Tensor,
    mean: Linear,
    log_sigma: Linear,
}

impl Ground {
    fn load(vb: VarBuilder) -> Result<Self> {
        const WIDTH: usize = 32;
        Ok(Self {
            read: linear(GROUND_CELLS, WIDTH, vb.pp("read"))?,
            unknown: vb.get_with_hints((1, WIDTH), "unknown", Init::Const(0.0))?,
            mean: linear(WIDTH, LATENT, vb.pp("mean"))?,
            log_sigma: linear(WIDTH, LATENT, vb.pp("log_sigma"))?,
        })
    }

    /// Mean and log of the standard deviation, [egos, LATENT] each.
    fn forward(&self, ground: &Tensor, is_known: &Tensor) -> Result<(Tensor, Tensor)> {
        let read = relu(&self.read.forward(ground)?)?.broadcast_mul(is_known)?;
        let unknown = (1.0 - is_known)?.broadcast_mul(&self.unknown)?;
        let code = (read + unknown)?;
        let log_sigma = self.log_sigma.forward(&code)?.tanh()?;
        Ok((self.mean.forward(&code)?, log_sigma))
    }
}
