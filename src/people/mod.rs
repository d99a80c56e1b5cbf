//! Where people are in a photo: detectors and landmark networks shared by the areas.
