//! Drawing layers on wgpu.
