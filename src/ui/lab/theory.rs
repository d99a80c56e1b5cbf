//! The page of theory: how one normalised unit learns under gamma decay, and what the decay gains on unseen data.

use eframe::egui::{self, RichText, Slider};
use egui_plot::{HLine, Legend, Line, Plot, Points};

use super::runs::{points, row_ui, run_color};
use super::tab::{Job, LabTab, Value};
use crate::lab::experiments::theory::NOISE;
use crate::lab::theory::dynamics::{Learner, START, State};
use crate::lab::theory::{Unit, generalisation, rates};
use crate::ui::theme;

const TIME: f64 = 12.0;
const LINE_POINTS: usize = 120;
const DOT_POINTS: usize = 24;
/// Inputs of the unit that is really trained.
const INPUTS: usize = 500;

/// What was computed for a setting.
pub(super) struct Flow {
    learner: Learner,
    line: Vec<State>,
    dots: Vec<State>,
    /// (α, risk) with this decay, without, and with the best.
    risks: [Vec<(f64, f64)>; 3],
}

/// The page.
pub(super) struct TheoryPage {
    /// What the sliders say.
    learner: Learner,
    asked: Option<Learner>,
    flow: Option<Flow>,
}

impl Default for TheoryPage {
    fn default() -> Self {
        Self {
            learner: Learner {
                unit: Unit::Identity,
                eta: 0.5,
                zeta: 0.05,
            },
            asked: None,
            flow: None,
        }
    }
}

impl TheoryPage {
    pub(super) fn take(&mut self, flow: Flow) {
        if self.asked == Some(flow.learner) {
            self.flow = Some(flow);
        }
    }
}

fn compute(learner: Learner, out: &crate::job::Out<Value>) -> anyhow::Result<()> {
    out.progress(0.0, "Solving the equations of motion")?;
    let line = learner.integrate(START, TIME, LINE_POINTS);
    let alphas = (0..=200).map(|i| 0.2 + 0.02 * f64::from(i));
    let lambda = 2.0 * learner.zeta;
    let curve = |lambda: &dyn Fn(f64) -> f64| -> Vec<(f64, f64)> {
        let risk = |a| generalisation::theory(a, lambda(a), NOISE);
        alphas
            .clone()
            .map(|a| (a, risk(a)))
            .filter(|(_, risk)| *risk < 3.0)
            .collect()
    };
    let risks = [
        curve(&|_| lambda),
        curve(&|_| 0.0),
        curve(&|a| generalisation::best_lambda(a, NOISE)),
    ];
    let flow = |dots: Vec<State>| {
        Value::Flow(Box::new(Flow {
            learner,
            line: line.clone(),
            dots,
            risks: risks.clone(),
        }))
    };
    out.value(flow(Vec::new()))?;
    let dots = learner.descend(START, TIME, DOT_POINTS, INPUTS, 1, |point| {
        let fraction = point as f32 / DOT_POINTS as f32;
        out.progress(fraction, "Training the unit").is_ok()
    });
    Ok(out.value(flow(dots))?)
}

impl LabTab {
    /// Computes what the sliders say, unless it is there or on its way.
    pub(super) fn update_theory(&mut self) {
        let learner = self.theory.learner;
        if self.theory.asked != Some(learner) {
            self.theory.asked = Some(learner);
            self.jobs
                .start(Job::Theory, move |out| compute(learner, out));
        }
    }

    pub(super) fn theory_side_ui(&mut self, ui: &mut egui::Ui) {
        let learner = &mut self.theory.learner;
        theme::title_ui(ui, "One normalised unit");
        ui.horizontal(|ui| {
            for unit in [Unit::Identity, Unit::Relu] {
                ui.selectable_value(&mut learner.unit, unit, unit.name());
            }
        });
        ui.spacing_mut().slider_width = 96.0;
        egui::Grid::new("unit")
            .num_columns(2)
            .spacing([theme::SPACE, 6.0])
            .min_col_width(92.0)
            .show(ui, |ui| {
                let slider = Slider::new(&mut learner.zeta, 0.0..=0.5).fixed_decimals(3);
                let tip = "What batch normalisation amounts to. For a batch of M and normal inputs it is 3/(4M)";
                row_ui(ui, "Gamma decay ζ", slider, tip);
                let slider = Slider::new(&mut learner.eta, 0.05..=4.0).fixed_decimals(2);
                row_ui(ui, "Learning rate η", slider, "Step of the descent");
            });
        ui.add_space(theme::SPACE);
        let learner = *learner;
        let weak = theme::colors(ui).weak;
        let batch = match learner.zeta > 0.0 {
            true => format!("ζ is that of a batch of {:.0}", 0.75 / learner.zeta),
            false => "ζ 0 is a batch without end".to_string(),
        };
        for text in [
            batch,
            format!("γ settles at {:.3}", learner.settled_gamma()),
            format!(
                "Stable up to ηγ/L² = {:.2}",
                rates::theory(learner.unit, learner.zeta)
            ),
        ] {
            ui.add(egui::Label::new(RichText::new(text).color(weak)).wrap());
        }
    }

    pub(super) fn theory_main_ui(&mut self, ui: &mut egui::Ui) {
        let Some(flow) = &self.theory.flow else {
            ui.centered_and_justified(|ui| theme::field_label_ui(ui, "Solving…"));
            return;
        };
        let size = ui.available_size();
        let half = 0.5 * size.x - theme::SPACE;
        let height = size.y - theme::SPACE_LARGE;
        ui.horizontal(|ui| {
            ui.vertical(|ui| {
                theme::title_ui(ui, "Learning from a teacher (dots: a unit of 500 inputs)");
                Plot::new("flow")
                    .width(half)
                    .height(height - theme::ROW_HEIGHT)
                    .legend(Legend::default())
                    .show(ui, |plot| {
                        type Of = fn(&State) -> f64;
                        let parts: [(&str, Of); 3] = [
                            ("γ scale", |s| s.gamma),
                            ("R cosine", |s| s.r),
                            ("L length", |s| s.l),
                        ];
                        for (i, (name, of)) in parts.into_iter().enumerate() {
                            let color = run_color(i as u32 + 1);
                            let series = |states: &[State], total: usize| -> Vec<(f64, f64)> {
                                let states = states.iter().enumerate();
                                states
                                    .map(|(i, s)| (TIME * i as f64 / total as f64, of(s)))
                                    .collect()
                            };
                            let line = series(&flow.line, LINE_POINTS);
                            plot.line(Line::new(name, points(&line)).color(color).width(2.0));
                            let dots = series(&flow.dots, DOT_POINTS);
                            plot.points(Points::new(name, points(&dots)).color(color).radius(3.0));
                        }
                        let settled = flow.learner.settled_gamma();
                        plot.hline(
                            HLine::new("γ settles", settled)
                                .color(run_color(1))
                                .style(egui_plot::LineStyle::dashed_dense()),
                        );
                    });
            });
            ui.vertical(|ui| {
                theme::title_ui(ui, "Excess risk by samples per input α (noise ¼)");
                Plot::new("risk")
                    .width(half)
                    .height(height - theme::ROW_HEIGHT)
                    .legend(Legend::default())
                    .show(ui, |plot| {
                        let names = [
                            format!("ζ = {:.3}", flow.learner.zeta),
                            "no decay: double descent".to_string(),
                            "best decay at each α".to_string(),
                        ];
                        for (i, (name, risks)) in names.into_iter().zip(&flow.risks).enumerate() {
                            let line = Line::new(name, points(risks)).width(2.0);
                            plot.line(line.color(run_color(i as u32 + 4)));
                        }
                    });
            });
        });
    }
}
