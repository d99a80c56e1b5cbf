//! Names of the normalisations and what each is made of.

use candle_nn::VarBuilder;
use std::fmt;
use std::str::FromStr;

use super::mixture::Normaliser;

/// Which normalisation a network uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NormKind {
    /// `bn`: batch.
    Batch,
    /// `in`: instance.
    Instance,
    /// `ln`: layer, over channels and pixels of a sample.
    Layer,
    /// `gn`: group.
    Group,
    /// `pn`: population, the running statistics also in training.
    Population,
    /// `sn`: learned mixture of instance, layer and batch.
    Switch,
    /// `sn-nobn`: learned mixture of instance and layer; for one sample a rank.
    SwitchNoBatch,
    /// `sn-gn`: `sn` with group statistics as the fourth. Ours; no published weights have it.
    SwitchGroup,
    /// `ssn`: a mixture that becomes one choice while training.
    SparseSwitch,
    /// `hard`: `sn` until hardened, then the largest ratio alone.
    Hard,
}

/// How many dimensions stand behind the channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dims {
    /// [N, C].
    One,
    /// [N, C, H, W].
    Two,
    /// [N, C, D, H, W].
    Three,
}

impl NormKind {
    /// The kind that a layer with these variables was trained with. Those that keep nothing of their own (instance, layer,
    /// group) look alike and are taken for group; a hardened `sn` is the same as an `ssn` that has decided.
    pub fn of_weights(layer: &VarBuilder) -> Self {
        let has = |name| layer.contains_tensor(name);
        match (has("mean_weight"), has("radius"), has("running_mean")) {
            (true, true, _) => Self::SparseSwitch,
            (true, false, _) => Self::Switch,
            (false, _, true) => Self::Batch,
            (false, _, false) => Self::Group,
        }
    }

    /// All kinds, in the order of help texts.
    pub const ALL: [NormKind; 10] = [
        NormKind::Batch,
        NormKind::Instance,
        NormKind::Layer,
        NormKind::Group,
        NormKind::Population,
        NormKind::Switch,
        NormKind::SwitchNoBatch,
        NormKind::SwitchGroup,
        NormKind::SparseSwitch,
        NormKind::Hard,
    ];

    /// The short name: `bn`, `sn`, ….
    pub fn name(self) -> &'static str {
        match self {
            NormKind::Batch => "bn",
            NormKind::Instance => "in",
            NormKind::Layer => "ln",
            NormKind::Group => "gn",
            NormKind::Population => "pn",
            NormKind::Switch => "sn",
            NormKind::SwitchNoBatch => "sn-nobn",
            NormKind::SwitchGroup => "sn-gn",
            NormKind::SparseSwitch => "ssn",
            NormKind::Hard => "hard",
        }
    }

    /// The full name, for people.
    pub fn title(self) -> &'static str {
        match self {
            NormKind::Batch => "Batch",
            NormKind::Instance => "Instance",
            NormKind::Layer => "Layer",
            NormKind::Group => "Group",
            NormKind::Population => "Population",
            NormKind::Switch => "Switchable",
            NormKind::SwitchNoBatch => "Switchable without batch",
            NormKind::SwitchGroup => "Switchable with group",
            NormKind::SparseSwitch => "Sparse switchable",
            NormKind::Hard => "Hard ratios",
        }
    }

    /// Whether layers learn ratios.
    pub fn is_switchable(self) -> bool {
        matches!(
            self,
            NormKind::Switch
                | NormKind::SwitchNoBatch
                | NormKind::SwitchGroup
                | NormKind::SparseSwitch
                | NormKind::Hard
        )
    }

    /// Whether a layer looks at other samples of the batch and nothing else, so that one sample is not enough.
    pub fn needs_batch(self) -> bool {
        matches!(self, NormKind::Batch)
    }

    /// The statistics that are mixed, in the order of the control parameters.
    pub fn normalisers(self, dims: Dims, groups: usize) -> Vec<Normaliser> {
        use Normaliser::{Batch, Group, Instance, Layer};
        match (self, dims) {
            (NormKind::Batch | NormKind::Population, _) => vec![Batch],
            (NormKind::Instance, _) => vec![Instance],
            (NormKind::Layer, _) => vec![Layer],
            (NormKind::Group, _) => vec![Group(groups)],
            (NormKind::Switch | NormKind::SparseSwitch | NormKind::Hard, Dims::One) => {
                vec![Layer, Batch]
            }
            (NormKind::Switch | NormKind::SparseSwitch | NormKind::Hard, _) => {
                vec![Instance, Layer, Batch]
            }
            (NormKind::SwitchNoBatch, Dims::One) => vec![Layer],
            (NormKind::SwitchNoBatch, _) => vec![Instance, Layer],
            (NormKind::SwitchGroup, Dims::One) => vec![Layer, Batch, Group(groups)],
            (NormKind::SwitchGroup, _) => vec![Instance, Layer, Batch, Group(groups)],
        }
    }
}

impl fmt::Display for NormKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for NormKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let kind = Self::ALL.into_iter().find(|kind| kind.name() == text);
        kind.ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|kind| kind.name()).collect();
            format!(
                "there is no normalisation {text}; choose one of {}",
                names.join(", ")
            )
        })
    }
}

impl serde::Serialize for NormKind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> serde::Deserialize<'de> for NormKind {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
