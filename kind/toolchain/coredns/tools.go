//go:build tools

// Package toolchain pins CoreDNS apart from Kubernetes: v1.12.1, which kubeadm 1.34 asks for,
// does not compile against client-go 0.34.
package toolchain

import _ "github.com/coredns/coredns"
