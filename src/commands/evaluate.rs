//! `vitruvian face evaluate`: how good the networks are on a folder of faces with masks.

use std::fmt::Display;

use anyhow::Result;
use candle_core::Device;
use serde::Serialize;

use super::{print, print_json};
use crate::cli::EvaluateCommand;
use crate::face::edit::FaceModels;
use crate::face::evaluate::{evaluate_generator, evaluate_parser};
use crate::face::parser::Parser;
use crate::job::Out;
use crate::photo;
use crate::weights::Checkpoint;

pub fn run(command: &EvaluateCommand, models: impl FnOnce() -> Result<FaceModels>) -> Result<()> {
    let models = models()?;
    let out = Out::<()>::to_stderr("evaluate");
    match command {
        EvaluateCommand::Parser { data, json } => {
            let report = evaluate_parser(&models, data, &out)?;
            show(&report, *json)
        }
        EvaluateCommand::Generator {
            data,
            judge,
            sheet,
            json,
        } => {
            let judge = match judge {
                Some(path) => Some(Parser::open(&Checkpoint::open(path, &Device::Cpu)?)?),
                None => None,
            };
            let judge = judge.as_ref().unwrap_or(&models.parser);
            let evaluation = evaluate_generator(&models, judge, data, &out)?;
            if let Some(path) = sheet {
                photo::save_png(path, &evaluation.sheet)?;
            }
            show(&evaluation.report, *json)
        }
    }
}

fn show(report: &(impl Display + Serialize), json: bool) -> Result<()> {
    if json {
        return print_json(report);
    }
    print(report);
    Ok(())
}
