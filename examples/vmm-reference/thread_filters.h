// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "failure.h"
#include "sandbox_options.h"
#include "vmm/sandbox/seccomp_filter.h"

namespace vmm::reference {

/// The kinds of threads, by the system calls that they need.
enum class ThreadKind : std::uint8_t {
  kOpener,   ///< opens what the VM needs of the host
  kControl,  ///< the main thread: API, consoles, life cycle
  kVcpu,     ///< runs a vCPU, and answers its exits
  kEvents,   ///< writes the event monitor's stream
  kDisk,     ///< serves queues of a disk
  kNet,      ///< serves queues of a network interface
  kPeer,     ///< serves a device whose other end is a socket: vsock, vhost-user, vfio-user
  kDevice,   ///< serves any other device
};

inline constexpr std::array kThreadKinds{
    ThreadKind::kOpener, ThreadKind::kControl, ThreadKind::kVcpu, ThreadKind::kEvents,
    ThreadKind::kDisk,   ThreadKind::kNet,     ThreadKind::kPeer, ThreadKind::kDevice};

/// As docs/sandbox.md has it.
[[nodiscard]] const char* name_of(ThreadKind kind);
/// Who begins such threads, behind whose filter they are as well; `kind` itself for those that are
/// begun before there are filters.
[[nodiscard]] ThreadKind begun_by(ThreadKind kind);
/// What a kind of thread may do, in `process`, on this architecture.
[[nodiscard]] std::vector<sandbox::Rule> rules_for(ThreadKind kind, pid_t process);

/// Compiles the filters of threads that are always there, and says what a forbidden call is to
/// tell. Once a process, while it has one thread. Failures: the kernel has no filters, though
/// `mode` wants some.
Outcome<void> prepare_filters(SeccompMode mode);
/// Compiles the filter of a kind of thread before the first of them; on the opener.
Outcome<void> prepare_filter(ThreadKind kind);
/// What prepare_filters() was told.
[[nodiscard]] SeccompMode filters_mode();
/// Puts the calling thread behind its filter, if there is to be one.
Outcome<void> enter_filter(ThreadKind kind);

}  // namespace vmm::reference
