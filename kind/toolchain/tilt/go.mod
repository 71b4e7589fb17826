// Pins the module that holds Tilt's source, its web UI included. Tilt is not built from here: its go.mod
// has replacements, which only count in the main module, and its web assets must lie in its own tree.
// The build copies the module out and puts module.sum in place of its go.sum, whose hash of
// docker/buildx is not that of the published module.
module rehearsal.local/tilt

go 1.26

require github.com/tilt-dev/tilt v0.37.6
