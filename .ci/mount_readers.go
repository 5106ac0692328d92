// SPDX-License-Identifier: Apache-2.0

// What container runtimes read a group with: libcontainer of runc, of which cadvisor and Kubernetes have theirs, and the
// library of containerd. Their parsers refuse what is not as the kernel writes it.
//
//	mount_readers MOUNT/cgroup GROUP   prints what they read, after a limit of 8 MiB by libcontainer
package main

import (
	"fmt"
	"os"
	"path/filepath"

	containerd "github.com/containerd/cgroups/v2"
	"github.com/opencontainers/runc/libcontainer/cgroups"
	"github.com/opencontainers/runc/libcontainer/cgroups/fs2"
	"github.com/opencontainers/runc/libcontainer/configs"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	root, group := os.Args[1], os.Args[2]
	// Otherwise it refuses every file that is not of the kernel's file system.
	cgroups.TestMode = true
	// Rootless: without the controllers that are not there.
	config := &configs.Cgroup{Rootless: true, Path: "/" + group, Resources: &configs.Resources{}}
	runc, err := fs2.NewManager(config, filepath.Join(root, group))
	must(err)
	must(runc.Set(&configs.Resources{Memory: 8 << 20, MemoryReservation: 1 << 20, SkipDevices: true}))
	stats, err := runc.GetStats()
	must(err)
	memory := stats.MemoryStats
	kills, err := runc.OOMKillCount()
	must(err)
	processes, err := runc.GetAllPids()
	must(err)
	fmt.Println("runc", memory.Usage.Usage, memory.Usage.Limit, memory.Stats["slab"], len(memory.Stats), kills, len(processes))

	other, err := containerd.LoadManager(root, "/"+group)
	must(err)
	metrics, err := other.Stat()
	must(err)
	fmt.Println("containerd", metrics.Memory.Usage, metrics.Memory.UsageLimit, metrics.Memory.Slab, metrics.MemoryEvents.Oom)
	names, err := other.Controllers()
	must(err)
	fmt.Println("controllers", names)
}
