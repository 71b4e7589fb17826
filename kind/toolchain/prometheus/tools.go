//go:build tools

// Package toolchain pins Prometheus, in a module of its own: its Kubernetes client is newer than the cluster's.
package toolchain

import (
	_ "github.com/prometheus/prometheus/cmd/prometheus"
)
