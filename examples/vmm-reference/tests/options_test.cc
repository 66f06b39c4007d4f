// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "options.h"

#include <catch2/catch.hpp>
#include <vector>

namespace vmm::reference {
namespace {

Outcome<Invocation> parse(std::vector<std::string> words) { return parse_command_line(words); }

// With a kernel, as everything but --help needs one.
Outcome<Invocation> with_kernel(std::vector<std::string> words) {
  words.insert(words.begin(), {"--kernel", "k"});
  return parse(std::move(words));
}

TEST_CASE("the defaults are one CPU, 512 MiB and a null serial port", "[options]") {
  const auto got = with_kernel({});
  REQUIRE(got.has_value());
  CHECK(got->vm.kernel == "k");
  CHECK(got->vm.cpus.boot == 1);
  CHECK(got->vm.cpus.max_phys_bits == 46);
  CHECK(got->vm.memory.size == 512u << 20);
  CHECK(got->vm.memory.thp);
  CHECK_FALSE(got->vm.memory.shared);
  CHECK(got->vm.serial.mode == ConsoleConfig::Mode::kNull);
  CHECK(got->vm.debug_console.mode == ConsoleConfig::Mode::kOff);
}

TEST_CASE("every offered option reaches the configuration", "[options]") {
  const auto got = with_kernel(
      {"--initramfs", "i", "--cmdline", "console=ttyS0 quiet", "--cpus",
       "boot=4,topology=2:2:1:1,affinity=[0@[1,3-4],2@7],nested=off", "--memory",
       "size=1G,shared=on,hugepages=on,hugepage_size=2M,prefault=on,thp=off", "--serial",
       "file=/tmp/x", "--console", "off", "--debug-console", "tty,iobase=0x402", "-vv"});
  REQUIRE(got.has_value());
  const VmConfig& vm = got->vm;
  CHECK(vm.initramfs == "i");
  CHECK(vm.cmdline == "console=ttyS0 quiet");
  CHECK(vm.cpus.boot == 4);
  CHECK(vm.cpus.topology->threads == 2);
  CHECK_FALSE(vm.cpus.nested);
  REQUIRE(vm.cpus.affinity.size() == 2);
  CHECK(vm.cpus.affinity[0].host_cpus == std::vector<std::uint64_t>{1, 3, 4});
  CHECK(vm.cpus.affinity[1].vcpu == 2);
  CHECK(vm.memory.size == 1u << 30);
  CHECK(vm.memory.hugepage_size == 2u << 20);
  CHECK(vm.memory.shared);
  CHECK(vm.memory.prefault);
  CHECK_FALSE(vm.memory.thp);
  CHECK(vm.serial.path == "/tmp/x");
  CHECK(vm.debug_console.mode == ConsoleConfig::Mode::kTty);
  CHECK(vm.debug_console_port == 0x402);
  CHECK(got->verbosity == 2);
}

TEST_CASE("an empty command line text is legal", "[options]") {
  CHECK(with_kernel({"--cmdline", ""}).has_value());
  CHECK(with_kernel({"--cmdline=a=b c"})->vm.cmdline == "a=b c");
}

TEST_CASE("a wrong command line is refused by name with exit code 2", "[options][hostile]") {
  struct Case {
    std::vector<std::string> words;
    const char* part;
  };
  const auto c = GENERATE(values<Case>({
      {{"--bogus"}, "--bogus"},
      {{"--kern", "x"}, "--kern"},
      {{"stray"}, "positional"},
      {{"--cpus"}, "--cpus"},
      {{"--cpus", "boot=1", "--cpus", "boot=2"}, "--cpus: may be given only once"},
      {{"--cpus", "boot=0"}, "--cpus: boot: \"0\" is not a number from 1 to 8192"},
      {{"--cpus", "boot=8193"}, "--cpus: boot"},
      {{"--cpus", "boot=-1"}, "--cpus: boot"},
      {{"--cpus", "boot=2,max=1"}, "--cpus: max: less than boot"},
      {{"--cpus", "boot=2,max=4"}, "--cpus: max: CPU hotplug is not offered yet"},
      {{"--cpus", "boot=4,topology=1:2:1:1"}, "--cpus: topology: its product 2"},
      {{"--cpus", "boot=4,topology=4:1:1:1"}, "--cpus: topology: more than 2 threads"},
      {{"--cpus", "boot=4,topology=4:1"}, "--cpus: topology"},
      {{"--cpus", "kvm_hyperv=on"}, "--cpus: kvm_hyperv: not offered yet"},
      {{"--cpus", "affinity=[1@2]"}, "--cpus: affinity"},
      {{"--cpus", "boot=2,affinity=[0@1],[1@2]"}, "--cpus"},
      {{"--cpus", "boot=2,affinity=\"[0@1],[1@2]\""}, "--cpus: affinity"},
      {{"--cpus", "cores=2"}, "--cpus: cores: unknown key"},
      {{"--memory", "size=0"}, "--memory: size: a VM without memory cannot run"},
      {{"--memory", "size=4097"}, "--memory: size: not a multiple"},
      {{"--memory", "size=big"}, "--memory: size: \"big\" is not a size"},
      {{"--memory", "shared=on,mergeable=on"}, "--memory: mergeable"},
      {{"--memory", "hugepage_size=2M"}, "--memory: hugepage_size: hugepages is off"},
      {{"--memory", "hugepages=on,hugepage_size=3M"}, "--memory: hugepage_size: not a power"},
      {{"--memory", "hotplug_size=1G"}, "--memory: hotplug_size: not offered yet"},
      {{"--serial", "off,tty"}, "--serial: mode"},
      {{"--serial", "file"}, "--serial: file: the path is missing"},
      {{"--serial", "file="}, "--serial: file: the path is missing"},
      {{"--serial", "socket=/x"}, "--serial: socket: not offered yet"},
      {{"--serial", "null,escape=on"}, "--serial: escape"},
      {{"--console", "off,tty"}, "--console: mode"},
      {{"--debug-console", "iobase=0x10000"}, "--debug-console: iobase"},
      {{"--fs", "tag=a", "tag=b"}, "--fs: not offered yet"},
      {{"--pvpanic"}, "--pvpanic: not offered yet"},
      {{"--seccomp", "true"}, "--seccomp: not offered yet"},
  }));
  CAPTURE(c.words);
  const auto got = with_kernel(c.words);
  REQUIRE_FALSE(got.has_value());
  CHECK(got.error().exit_code() == 2);
  CHECK_THAT(got.error().message, Catch::Contains(c.part));
}

TEST_CASE("without a kernel there is nothing to run", "[options][hostile]") {
  for (const auto& words : {std::vector<std::string>{}, {"--cpus", "boot=1"}, {"--kernel", ""}}) {
    const auto got = parse(words);
    REQUIRE_FALSE(got.has_value());
    CHECK(got.error().exit_code() == 2);
    CHECK_THAT(got.error().message, Catch::Contains("--kernel"));
  }
}

TEST_CASE("firmware takes the kernel's place, and only one of the two is given", "[options]") {
  const auto got = parse({"--firmware", "/fw"});
  REQUIRE(got.has_value());
  CHECK((got->vm.firmware == "/fw" && got->vm.kernel.empty()));
  const auto both = parse({"--firmware", "/fw", "--kernel", "/k"});
  REQUIRE_FALSE(both.has_value());
  CHECK(both.error().exit_code() == 2);
  CHECK_THAT(both.error().message, Catch::Contains("--firmware"));
}

TEST_CASE("help and version need no kernel", "[options]") {
  CHECK(parse({"--help"})->action == Invocation::Action::kShowHelp);
  CHECK(parse({"-h"})->action == Invocation::Action::kShowHelp);
  CHECK(parse({"--version"})->action == Invocation::Action::kShowVersion);
  CHECK(parse({"-V"})->action == Invocation::Action::kShowVersion);
  CHECK_THAT(help_text(), Catch::Contains("--memory") && Catch::Contains("--disk"));
}

}  // namespace
}  // namespace vmm::reference
