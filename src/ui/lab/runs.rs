//! The page of runs: settings and list at the side, curves and ratios in the middle.

use eframe::egui::{self, Color32, RichText, Slider};
use egui_plot::{Bar, BarChart, Legend, Line, Plot, PlotPoints};

use super::tab::{LabTab, RunView, State};
use crate::lab::dataset::Difficulty;
use crate::lab::live::{accuracies, losses};
use crate::lab::run::{LabConfig, LayerRatios, NormKind, Normaliser, Sample};
use crate::ui::keys::{self, Action};
use crate::ui::theme::{self, icon};

/// Colours of runs, in their order; told apart by any colour vision (Okabe and Ito 2008).
const RUNS: [Color32; 7] = [
    Color32::from_rgb(86, 180, 233),
    Color32::from_rgb(230, 159, 0),
    Color32::from_rgb(0, 158, 115),
    Color32::from_rgb(204, 121, 167),
    Color32::from_rgb(213, 94, 0),
    Color32::from_rgb(240, 228, 66),
    Color32::from_rgb(150, 150, 150),
];

/// Colour of a run with this number.
pub(super) fn run_color(id: u32) -> Color32 {
    RUNS[id.wrapping_sub(1) as usize % RUNS.len()]
}

fn normaliser_look(normaliser: Normaliser) -> (&'static str, Color32) {
    match normaliser {
        Normaliser::Instance => ("IN", RUNS[0]),
        Normaliser::Layer => ("LN", RUNS[1]),
        Normaliser::Batch => ("BN", RUNS[2]),
        Normaliser::Group(_) => ("GN", RUNS[3]),
    }
}

/// What the user asked of a run.
enum Ask {
    Pause(u32, bool),
    Harden(u32),
    Stop(u32),
    GoOn(u32),
    Save(u32),
    Remove(u32),
    Select(u32),
}

/// Points of a plot.
pub(super) fn points(values: &[(f64, f64)]) -> PlotPoints<'static> {
    PlotPoints::from(values.iter().map(|&(x, y)| [x, y]).collect::<Vec<_>>())
}

impl LabTab {
    pub(super) fn runs_side_ui(&mut self, ui: &mut egui::Ui) {
        theme::title_ui(ui, "New run");
        ui.add_space(theme::SPACE_SMALL);
        self.draft_ui(ui);
        if let Some(fault) = &self.fault {
            let text = RichText::new(fault).color(theme::colors(ui).error);
            ui.add(egui::Label::new(text).wrap());
        }
        ui.add_space(theme::SPACE);
        let button = theme::primary_button(ui, "Start run");
        let tip = keys::tip(ui.ctx(), Action::StartRun);
        let size = egui::vec2(ui.available_width(), 28.0);
        if ui.add_sized(size, button).on_hover_text(tip).clicked() {
            self.start();
        }
        ui.add_space(theme::SPACE_LARGE);
        theme::title_ui(ui, "Runs");
        if self.runs.is_empty() {
            theme::field_label_ui(ui, "None yet");
        }
        let mut asked = None;
        egui::ScrollArea::vertical().show(ui, |ui| {
            let can = |run: &RunView| (self.can_go_on(run), self.can_save(run));
            let can: Vec<(bool, bool)> = self.runs.iter().map(can).collect();
            for (run, (can_go_on, can_save)) in self.runs.iter_mut().zip(can) {
                let is_selected = self.selected == Some(run.id);
                asked = run_ui(ui, run, is_selected, can_go_on, can_save).or(asked.take());
                ui.add_space(theme::SPACE_SMALL);
            }
        });
        match asked {
            Some(Ask::Pause(id, is_paused)) => self.pause(id, is_paused),
            Some(Ask::Harden(id)) => self.harden(id),
            Some(Ask::Stop(id)) => self.stop(id),
            Some(Ask::GoOn(id)) => self.go_on(id),
            Some(Ask::Save(id)) => self.save(id),
            Some(Ask::Remove(id)) => self.remove(id),
            Some(Ask::Select(id)) => self.selected = Some(id),
            None => {}
        }
    }

    fn draft_ui(&mut self, ui: &mut egui::Ui) {
        ui.spacing_mut().slider_width = 96.0;
        egui::Grid::new("new run")
            .num_columns(2)
            .spacing([theme::SPACE, 6.0])
            .min_col_width(92.0)
            .show(ui, |ui| draft_rows_ui(ui, &mut self.draft));
    }

    pub(super) fn runs_main_ui(&mut self, ui: &mut egui::Ui) {
        if self.runs.is_empty() {
            let keys = keys::keys_text(ui.ctx(), Action::StartRun);
            let text = format!(
                "Choose a normalisation at the left and start a run ({keys}). Its loss, accuracy and \
                 ratios appear here while it trains; start several to compare them."
            );
            let heading = "Watch normalisations train side by side";
            theme::empty_ui(ui, ui.max_rect(), icon::LAB, heading, &text);
            return;
        }
        let size = ui.available_size();
        let (half, row) = (0.5 * size.x - theme::SPACE, 0.48 * size.y - theme::SPACE);
        ui.horizontal(|ui| {
            self.curves_ui(ui, "Training loss", &[], half, row, losses);
            self.curves_ui(ui, "Accuracy, %", &[0.0, 100.0], half, row, accuracies);
        });
        let Some(run) = self.selected_run() else {
            return;
        };
        let Some(last) = run.samples.last().filter(|s| !s.ratios.is_empty()) else {
            let text = match run.config.norm.is_switchable() {
                true => "Ratios appear with the first steps",
                false => "This normalisation has no ratios; choose a switchable one to see them",
            };
            ui.label(RichText::new(text).color(theme::colors(ui).weak));
            return;
        };
        let layer = self.layer.min(last.ratios.len() - 1);
        let mut chosen = layer;
        ui.horizontal(|ui| {
            theme::title_ui(ui, &format!("Ratios of {}", run.name));
            egui::ComboBox::from_id_salt("layer")
                .selected_text(&last.ratios[layer].name)
                .show_ui(ui, |ui| {
                    for (i, ratios) in last.ratios.iter().enumerate() {
                        ui.selectable_value(&mut chosen, i, &ratios.name);
                    }
                })
                .response
                .accessible_name("Layer")
                .on_hover_text("The layer whose ratios are drawn over time");
            let decisions = last.ratios.iter().flat_map(|r| r.decision);
            let decided = decisions.flatten().count();
            ui.label(format!("{decided} of {} decided", 2 * last.ratios.len()));
        });
        let third = size.x / 3.0 - theme::SPACE;
        let rest = ui.available_height() - theme::SPACE_LARGE;
        ui.horizontal(|ui| {
            depth_ui(ui, "Means by depth", third, rest, &last.ratios, |r| &r.mean);
            depth_ui(ui, "Variances by depth", third, rest, &last.ratios, |r| {
                &r.var
            });
            time_ui(ui, third, rest, &run.samples, layer);
        });
        self.layer = chosen;
    }

    fn curves_ui(
        &self,
        ui: &mut egui::Ui,
        title: &str,
        spans: &[f64],
        width: f32,
        height: f32,
        of: fn(&[Sample]) -> Vec<(f64, f64)>,
    ) {
        ui.vertical(|ui| {
            theme::title_ui(ui, title);
            let plot = spans
                .iter()
                .fold(Plot::new(title), |plot, y| plot.include_y(*y));
            plot.width(width)
                .height(height - theme::ROW_HEIGHT)
                .legend(Legend::default())
                .show(ui, |plot| {
                    for run in self.runs.iter().filter(|run| run.is_shown) {
                        let line = Line::new(run.name.clone(), points(&of(&run.samples)));
                        let width = if self.selected == Some(run.id) {
                            2.5
                        } else {
                            1.5
                        };
                        plot.line(line.color(run_color(run.id)).width(width));
                    }
                });
        });
    }
}

/// A line of the settings: name, slider, what it means.
pub(super) fn row_ui(ui: &mut egui::Ui, name: &str, slider: Slider<'_>, tip: &str) {
    let label = theme::field_label_ui(ui, name);
    ui.add(slider).labelled_by(label.id).on_hover_text(tip);
    ui.end_row();
}

fn draft_rows_ui(ui: &mut egui::Ui, draft: &mut LabConfig) {
    const BOX_WIDTH: f32 = 150.0;
    theme::field_label_ui(ui, "Normalisation");
    egui::ComboBox::from_id_salt("norm")
        .width(BOX_WIDTH)
        .selected_text(draft.norm.title())
        .show_ui(ui, |ui| {
            for kind in NormKind::ALL {
                ui.selectable_value(&mut draft.norm, kind, kind.title());
            }
        })
        .response
        .accessible_name("Normalisation");
    ui.end_row();
    theme::field_label_ui(ui, "Data");
    let sets = [
        (Difficulty::Plain, "Plain digits"),
        (Difficulty::Hard, "Harder digits"),
    ];
    let chosen = sets.iter().find(|(set, _)| *set == draft.set);
    egui::ComboBox::from_id_salt("data")
        .width(BOX_WIDTH)
        .selected_text(chosen.map_or("", |(_, name)| name))
        .show_ui(ui, |ui| {
            for (set, name) in sets {
                ui.selectable_value(&mut draft.set, set, name);
            }
        })
        .response
        .accessible_name("Data");
    ui.end_row();
    let slider = Slider::new(&mut draft.batch, 1..=128).logarithmic(true);
    row_ui(ui, "Batch", slider, "Digits a step");
    let slider = Slider::new(&mut draft.depth, 1..=6);
    row_ui(
        ui,
        "Depth",
        slider,
        "Residual blocks of each of the three stages",
    );
    let slider = Slider::new(&mut draft.width, 4..=32).step_by(4.0);
    row_ui(ui, "Width", slider, "Channels of the first stage");
    let slider = Slider::new(&mut draft.rate, 0.001..=1.0).logarithmic(true);
    let tip = "For a batch of 32; it grows in proportion to the batch";
    row_ui(ui, "Learning rate", slider, tip);
    let slider = Slider::new(&mut draft.digits, 500..=80_000).logarithmic(true);
    let tip = "Digits to train on in all, counted with repetition";
    row_ui(ui, "Digits in all", slider, tip);
    let slider = Slider::new(&mut draft.pool, 0..=8_000).step_by(100.0);
    let tip =
        "Different digits to train on; 0 takes all 8,000. With few of them networks learn by heart";
    row_ui(ui, "Different ones", slider, tip);
    let slider = Slider::new(&mut draft.gamma_decay, 0.0..=0.05).fixed_decimals(3);
    row_ui(
        ui,
        "Gamma decay ζ",
        slider,
        "Adds ζγ² to the loss for every scale γ",
    );
    let slider = Slider::new(&mut draft.dropout, 0.0..=0.8).fixed_decimals(2);
    row_ui(
        ui,
        "Dropout",
        slider,
        "Share of features dropped before the last layer",
    );
    let slider = Slider::new(&mut draft.seed, 1..=20);
    row_ui(ui, "Seed", slider, "Of weights and order");
}

/// One run in the list.
fn run_ui(
    ui: &mut egui::Ui,
    run: &mut RunView,
    is_selected: bool,
    can_go_on: bool,
    can_save: bool,
) -> Option<Ask> {
    let mut asked = None;
    ui.horizontal(|ui| {
        ui.checkbox(&mut run.is_shown, "")
            .accessible_name(format!("Show {}", run.name))
            .on_hover_text("Shown in the plots");
        let name = RichText::new(&run.name).color(run_color(run.id));
        if ui.selectable_label(is_selected, name).clicked() {
            asked = Some(Ask::Select(run.id));
        }
    });
    ui.horizontal(|ui| {
        let state = match &run.state {
            State::Training => "Training",
            State::Paused => "Paused",
            State::Done => "Done",
            State::Stopped => "Stopped",
            State::Failed(_) => "Failed",
        };
        let step = run.samples.last().map_or(0, |s| s.step);
        let mut text = format!("{state}, step {step} of {}", run.steps());
        if let Some(accuracy) = run.accuracy() {
            text += &format!(", {:.1} %", 100.0 * accuracy);
        }
        if run.is_saved() {
            text += ", saved";
        }
        let weak = theme::colors(ui).weak;
        let label = ui.label(RichText::new(text).color(weak).small());
        if let State::Failed(error) = &run.state {
            label.on_hover_text(error);
        }
    });
    ui.horizontal(|ui| {
        if run.is_open() {
            let is_paused = run.state == State::Paused;
            if ui
                .small_button(if is_paused { "Go on" } else { "Pause" })
                .on_hover_text(keys::tip(ui.ctx(), Action::PauseRun))
                .clicked()
            {
                asked = Some(Ask::Pause(run.id, !is_paused));
            }
            if run.config.norm.is_switchable()
                && ui
                    .small_button("Harden")
                    .on_hover_text(keys::tip_as(
                        ui.ctx(),
                        Action::HardenRun,
                        "Keep only the largest ratio of each layer, then fine-tune",
                    ))
                    .clicked()
            {
                asked = Some(Ask::Harden(run.id));
            }
            let tip = keys::tip_as(
                ui.ctx(),
                Action::Cancel,
                "End it; its curves stay, and it can go on later",
            );
            if ui.small_button("Stop").on_hover_text(tip).clicked() {
                asked = Some(Ask::Stop(run.id));
            }
        }
        if can_go_on {
            let (name, words) = match run.state {
                State::Done => (
                    "Train on",
                    "A quarter of its steps more, at a tenth of the rate",
                ),
                _ => ("Go on", "From where it was stopped"),
            };
            let tip = keys::tip_as(ui.ctx(), Action::PauseRun, words);
            if ui.small_button(name).on_hover_text(tip).clicked() {
                asked = Some(Ask::GoOn(run.id));
            }
        }
        if can_save {
            let words = "Settings, curves, ratios and weights, to open again";
            let tip = keys::tip_as(ui.ctx(), Action::SaveRun, words);
            if ui.small_button("Save").on_hover_text(tip).clicked() {
                asked = Some(Ask::Save(run.id));
            }
        }
        let tip = keys::tip(ui.ctx(), Action::RemoveRun);
        if theme::icon_button_ui(ui, icon::CLOSE, "Remove run", &tip).clicked() {
            asked = Some(Ask::Remove(run.id));
        }
    });
    asked
}

/// Stacked bars, one for each layer from input to output.
fn depth_ui(
    ui: &mut egui::Ui,
    title: &str,
    width: f32,
    height: f32,
    ratios: &[LayerRatios],
    of: fn(&LayerRatios) -> &Vec<f64>,
) {
    let Some(first) = ratios.first() else {
        return;
    };
    let mut charts: Vec<BarChart> = Vec::new();
    for (k, normaliser) in first.normalisers.iter().enumerate() {
        let (name, color) = normaliser_look(*normaliser);
        let bars = ratios.iter().enumerate().map(|(i, r)| {
            let value = of(r).get(k).copied().unwrap_or(0.0);
            Bar::new((i + 1) as f64, value).width(0.85).name(&r.name)
        });
        let chart = BarChart::new(name, bars.collect()).color(color);
        let below: Vec<&BarChart> = charts.iter().collect();
        let chart = chart.stack_on(&below);
        charts.push(chart);
    }
    ui.vertical(|ui| {
        theme::title_ui(ui, title);
        Plot::new(title)
            .width(width)
            .height(height - theme::ROW_HEIGHT)
            .include_y(0.0)
            .include_y(1.0)
            .legend(Legend::default())
            .show(ui, |plot| {
                charts.into_iter().for_each(|c| plot.bar_chart(c))
            });
    });
}

/// The ratios of one layer against the step: means as lines, variances dashed.
fn time_ui(ui: &mut egui::Ui, width: f32, height: f32, samples: &[Sample], layer: usize) {
    let layers = samples
        .iter()
        .filter_map(|s| Some((s.step as f64, s.ratios.get(layer)?)));
    let layers: Vec<(f64, &LayerRatios)> = layers.collect();
    let Some((_, first)) = layers.first() else {
        return;
    };
    let normalisers = first.normalisers.clone();
    ui.vertical(|ui| {
        theme::title_ui(ui, "Over time (dashed: variance)");
        Plot::new("ratios over time")
            .width(width)
            .height(height - theme::ROW_HEIGHT)
            .include_y(0.0)
            .include_y(1.0)
            .legend(Legend::default())
            .show(ui, |plot| {
                for (k, normaliser) in normalisers.into_iter().enumerate() {
                    let (name, color) = normaliser_look(normaliser);
                    let at = |of: fn(&LayerRatios) -> &Vec<f64>| -> Vec<(f64, f64)> {
                        let values = layers.iter();
                        values
                            .filter_map(|(step, r)| Some((*step, *of(r).get(k)?)))
                            .collect()
                    };
                    plot.line(
                        Line::new(name, points(&at(|r| &r.mean)))
                            .color(color)
                            .width(2.0),
                    );
                    let dashed = Line::new(name, points(&at(|r| &r.var))).color(color);
                    plot.line(dashed.style(egui_plot::LineStyle::dashed_dense()));
                }
            });
    });
}
