// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace vmm::reference {

/// Where the bytes of a character device go.
struct ConsoleConfig {
  enum class Mode {
    kOff,   ///< there is no such device
    kNull,  ///< the device is there, its output is dropped
    kPty,   ///< a new pseudo-terminal
    kTty,   ///< standard output, and standard input when that is a terminal
    kFile,  ///< `path`, truncated
  };

  Mode mode = Mode::kNull;
  std::string path;
  /// Our own key: on a terminal, Ctrl-a x ends the VMM and Ctrl-a Ctrl-a sends one Ctrl-a.
  bool escape = false;
};

struct CpusConfig {
  /// Threads per core, cores per die, dies per package, packages.
  struct Topology {
    std::uint32_t threads, cores, dies, packages;
  };
  struct Affinity {
    std::uint32_t vcpu;
    std::vector<std::uint64_t> host_cpus;
  };

  std::uint32_t boot = 1;
  std::optional<Topology> topology;
  std::uint32_t max_phys_bits = 46;
  bool nested = true;
  std::vector<Affinity> affinity;
};

struct MemoryConfig {
  std::uint64_t size = std::uint64_t{512} << 20;  ///< bytes
  bool mergeable = false;
  bool shared = false;
  bool hugepages = false;
  std::uint64_t hugepage_size = 0;  ///< bytes; 0: the host's default
  bool prefault = false;
  bool reserve = false;
  bool thp = true;
};

/// Everything that the command line says about the VM.
struct VmConfig {
  std::string kernel;     ///< empty: firmware
  std::string firmware;   ///< empty: kernel
  std::string initramfs;  ///< empty: none
  std::string cmdline;
  std::string dtb;          ///< a device tree to use as it is; empty: the VMM makes one
  std::string dtb_overlay;  ///< merged into the VMM's device tree; empty: none
  CpusConfig cpus;
  MemoryConfig memory;
  ConsoleConfig serial;
  ConsoleConfig debug_console{.mode = ConsoleConfig::Mode::kOff, .path = {}, .escape = false};
  std::uint16_t debug_console_port = 0xe9;
};

}  // namespace vmm::reference
