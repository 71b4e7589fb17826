//go:build tools

// Package toolchain pins VictoriaLogs: this is the last version whose module has its source.
package toolchain

import (
	_ "github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-logs"
)
