// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "options.h"

#include <catch2/catch.hpp>
#include <fstream>
#include <tuple>
#include <vector>

#include "vmm/sys_util/temp_directory.h"

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
  CHECK(got->vmm.vm->kernel == "k");
  CHECK(got->vmm.vm->cpus.boot == 1);
  CHECK(got->vmm.vm->cpus.max_phys_bits == 46);
  CHECK(got->vmm.vm->memory.size == 512u << 20);
  CHECK(got->vmm.vm->memory.thp);
  CHECK_FALSE(got->vmm.vm->memory.shared);
  CHECK(got->vmm.vm->serial.mode == ConsoleConfig::Mode::kNull);
  CHECK(got->vmm.vm->debug_console.mode == ConsoleConfig::Mode::kOff);
}

TEST_CASE("every offered option reaches the configuration", "[options]") {
  const auto got = with_kernel(
      {"--initramfs", "i", "--cmdline", "console=ttyS0 quiet", "--cpus",
       "boot=4,topology=2:2:1:1,affinity=[0@[1,3-4],2@7],nested=off,kvm_hyperv=off,features=[],"
       "profile=host,core_scheduling=vcpu",
       "--memory",
       "size=1G,shared=on,hugepages=on,hugepage_size=2M,prefault=on,thp=off,"
       "file=/m",
       "--serial", "file=/tmp/x", "--console", "off", "--debug-console", "tty,iobase=0x402",
       "-vv"});
  REQUIRE(got.has_value());
  const VmConfig& vm = *got->vmm.vm;
  CHECK(vm.initramfs == "i");
  CHECK(vm.cmdline == "console=ttyS0 quiet");
  CHECK(vm.cpus.boot == 4);
  CHECK(vm.cpus.topology->threads == 2);
  CHECK_FALSE(vm.cpus.nested);
  CHECK(vm.cpus.core_scheduling == CpusConfig::CoreScheduling::kVcpu);
  REQUIRE(vm.cpus.affinity.size() == 2);
  CHECK(vm.cpus.affinity[0].host_cpus == std::vector<std::uint64_t>{1, 3, 4});
  CHECK(vm.cpus.affinity[1].vcpu == 2);
  CHECK(vm.memory.size == 1u << 30);
  CHECK(vm.memory.hugepage_size == 2u << 20);
  CHECK(vm.memory.shared);
  CHECK(vm.memory.prefault);
  CHECK_FALSE(vm.memory.thp);
  CHECK(vm.memory.file == "/m");
  CHECK(vm.serial.path == "/tmp/x");
  CHECK(vm.debug_console.mode == ConsoleConfig::Mode::kTty);
  CHECK(vm.debug_console_port == 0x402);
  CHECK(got->verbosity == 2);
}

TEST_CASE("memory that comes later", "[options]") {
  const MemoryConfig none = with_kernel({"--memory", "hotplug_method=acpi"})->vmm.vm->memory;
  CHECK((!none.virtio_mem && none.hotplug_size == 0));
  const MemoryConfig some =
      with_kernel(
          {"--memory", "size=1G,hotplug_method=virtio-mem,hotplug_size=512M,hotplugged_size=128M"})
          ->vmm.vm->memory;
  CHECK(some.virtio_mem);
  CHECK(some.hotplug_size == 512u << 20);
  CHECK(some.hotplugged_size == 128u << 20);
  CHECK(some.hot_block_bytes() == 2u << 20);
  const MemoryConfig huge =
      with_kernel(
          {"--memory", "hotplug_method=virtio-mem,hotplug_size=2G,hugepages=on,hugepage_size=1G"})
          ->vmm.vm->memory;
  CHECK(huge.hot_block_bytes() == 1u << 30);
}

TEST_CASE("with --api-socket there need not be a VM, but a VM needs a kernel", "[options]") {
  const auto idle = parse({"--api-socket", "api", "--event-monitor", "fd=5", "--log-file", "l"});
  REQUIRE(idle.has_value());
  CHECK_FALSE(idle->vmm.vm.has_value());
  CHECK(idle->vmm.api_socket.path == "api");
  CHECK(idle->vmm.event_monitor.fd == 5);
  CHECK_FALSE(idle->vmm.no_shutdown);
  const auto busy = with_kernel({"--api-socket", "path=api", "--no-shutdown"});
  REQUIRE(busy.has_value());
  CHECK(busy->vmm.vm->kernel == "k");
  CHECK(busy->vmm.no_shutdown);
  CHECK_FALSE(parse({"--api-socket", "api", "--cpus", "boot=1"}).has_value());
  CHECK_FALSE(parse({"--api-socket", "api", "--watchdog"}).has_value());
  CHECK_FALSE(parse({"--event-monitor", "fd=5"}).has_value());
  CHECK(with_kernel({"--platform", ""}).has_value());
}

TEST_CASE("the sandbox is the process's, whatever VM it has", "[options]") {
  CHECK(with_kernel({})->vmm.seccomp == SeccompMode::kTrap);
  for (const auto mode :
       {SeccompMode::kTrap, SeccompMode::kOff, SeccompMode::kLog, SeccompMode::kErrno}) {
    CHECK(with_kernel({"--seccomp", name_of(mode)})->vmm.seccomp == mode);
  }
  const auto idle = parse({"--api-socket", "api", "--seccomp", "log", "--landlock",
                           "--landlock-rules", "path=/,access=r", "path=/dev,access=rw"});
  REQUIRE(idle.has_value());
  CHECK_FALSE(idle->vmm.vm.has_value());
  CHECK(idle->vmm.landlock);
  const auto& rules = idle->vmm.landlock_rules;
  REQUIRE(rules.size() == 2);
  CHECK((rules[0].path == "/" && rules[0].read && !rules[0].write));
  CHECK((rules[1].path == "/dev" && rules[1].read && rules[1].write));
}

TEST_CASE("options of many values, of one or none, and repeated ones", "[options]") {
  const auto got =
      with_kernel({"--disk", "path=a", "path=b", "--rtc", "--disk", "path=c", "--watchdog"});
  REQUIRE(got.has_value());
  const VmConfig& vm = *got->vmm.vm;
  REQUIRE(vm.disks.size() == 3);
  CHECK(vm.disks[2].path == "c");
  CHECK(vm.watchdog);
  REQUIRE(vm.rtc.has_value());
  CHECK(with_kernel({"--rtc", "id=clock"})->vmm.vm->rtc->id == "clock");
  CHECK(with_kernel({"--rtc=id=clock"})->vmm.vm->rtc->id == "clock");
  CHECK(with_kernel({"--rtc", ""})->vmm.vm->rtc.has_value());
  CHECK(with_kernel({"--cpus", "boot=2,kvm_hyperv=off,profile=host"})->vmm.vm->cpus.boot == 2);
  CHECK(with_kernel({"--cpus", "boot=1,boot=2"})->vmm.vm->cpus.boot == 2);
}

TEST_CASE("room for what cannot come is no mistake, and there is none", "[options]") {
  const auto cpus = [](const char* text) { return with_kernel({"--cpus", text})->vmm.vm->cpus; };
  CHECK((cpus("boot=2,max=4").boot == 2 && cpus("boot=2,max=4").max_asked == 4));
  CHECK((cpus("boot=2,max=2").boot == 2 && cpus("boot=2,max=2").max_asked == 0));
  CHECK_FALSE(cpus("boot=2,max=4").topology);
  const auto one = *cpus("boot=1,max=8,topology=1:8:1:1").topology;
  CHECK((one.threads == 1 && one.cores == 1 && one.dies == 1 && one.packages == 1));
  const auto four = *cpus("boot=4,max=16,topology=2:2:1:4").topology;
  CHECK((four.threads == 2 && four.cores == 2 && four.dies == 1 && four.packages == 1));
  const auto eight = *cpus("boot=8,max=16,topology=2:2:1:4").topology;
  CHECK((eight.threads == 2 && eight.cores == 2 && eight.dies == 1 && eight.packages == 2));
  const auto got = with_kernel({"--memory", "size=1G,hotplug_size=3000M", "--device", "path=p"});
  REQUIRE(got.has_value());
  CHECK(got->vmm.vm->memory.hotplug_size == 0);
  CHECK(got->vmm.vm->memory.acpi_room_asked == std::uint64_t{3000} << 20);
}

TEST_CASE("the VM may come from a file", "[options]") {
  const auto folder = *sys_util::TempDirectory::create();
  const std::string path = folder.path() + "/vm.json";
  const auto with_text = [&](const std::string& text) {
    std::ofstream(path) << text;
    return parse({"--config", path, "--log-file", "l"});
  };
  const auto got = with_text(R"({"payload": {"kernel": "k"}, "disks": [{"path": "a"}]})");
  REQUIRE(got.has_value());
  CHECK(got->vmm.vm->kernel == "k");
  CHECK(got->vmm.vm->disks.at(0).path == "a");
  CHECK(got->log_file == "l");
  for (const auto& [text, code, part] :
       {std::tuple("{", 2, "malformed JSON"), std::tuple("{}", 2, "payload"),
        std::tuple(R"({"payload": {"kernel": "k"}, "disks": [{}]})", 2, "--disk: path")}) {
    const auto wrong = with_text(text);
    REQUIRE_FALSE(wrong.has_value());
    CHECK(wrong.error().exit_code() == code);
    CHECK_THAT(wrong.error().message, Catch::Contains(part) && Catch::Contains(path));
  }
  CHECK(with_text(std::string((4 << 20) + 1, ' ')).error().exit_code() == 2);
  CHECK(parse({"--config", folder.path() + "/absent"}).error().exit_code() == 1);
  CHECK(parse({"--config", folder.path()}).error().exit_code() == 1);
  CHECK(parse({"--config", ""}).error().exit_code() == 2);
}

TEST_CASE("an empty command line text is legal", "[options]") {
  CHECK(with_kernel({"--cmdline", ""}).has_value());
  CHECK(with_kernel({"--cmdline=a=b c"})->vmm.vm->cmdline == "a=b c");
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
      {{"--cpus", "boot=4,topology=1:2:1:1"}, "--cpus: topology: its product 2"},
      {{"--cpus", "boot=2,max=4,topology=1:2:1:1"}, "product 2 is not the number of CPUs 4"},
      {{"--cpus", "boot=5,max=8,topology=1:4:1:2"}, "--cpus: topology: boot is not"},
      {{"--cpus", "boot=4,topology=4:1"}, "--cpus: topology"},
      {{"--rtc", "id=a", "id=b"}, "--rtc: may be given only once"},
      {{"--config", "/nowhere"}, "--config: not together with --kernel"},
      {{"--disk"}, "--disk"},
      {{"--watchdog=on"}, "--watchdog"},
      {{"--restore", "source_url=file:///x"}, "--restore: not offered yet"},
      {{"--console", "null,escape=on"}, "--console: escape"},
      {{"--cpus", "kvm_hyperv=on"}, "--cpus: kvm_hyperv: not offered yet"},
      {{"--cpus", "features=[amx]"}, "--cpus: features: not offered yet"},
      {{"--cpus", "profile=skylake"}, "--cpus: profile: not offered yet"},
      {{"--cpus", "core_scheduling=on"}, "--cpus: core_scheduling: \"on\" is not vm, vcpu or off"},
      {{"--cpus", "affinity=[0@[1,8192]]"}, "with CPUs of the host below 8192"},
      {{"--cpus", "affinity=[1@2]"}, "--cpus: affinity"},
      {{"--cpus", "boot=2,affinity=[0@1],[1@2]"}, "--cpus"},
      {{"--cpus", "boot=2,affinity=\"[0@1],[1@2]\""}, "--cpus: affinity"},
      {{"--cpus", "cores=2"}, "--cpus: cores: unknown key"},
      {{"--memory", "size=0"}, "--memory: size: a VM without memory cannot run"},
      {{"--memory", "size=4097"}, "--memory: size: not a multiple"},
      {{"--memory", "size=big"}, "--memory: size: \"big\" is not a size"},
      {{"--memory", "shared=on,mergeable=on"}, "--memory: mergeable"},
      {{"--memory", "hugepage_size=2M"}, "--memory: hugepage_size: hugepages is off"},
      {{"--memory", "hugepages=on,hugepage_size=3M"}, "--memory: hugepage_size: neither 2M nor"},
      {{"--memory", "hugepages=on,hugepage_size=4M"}, "--memory: hugepage_size: neither 2M nor"},
      {{"--memory", "hotplug_size=1G,hotplugged_size=128M"},
       "--memory: hotplugged_size: hotplug_method=acpi is not offered"},
      {{"--memory", "hotplug_method=dimm"}, "--memory: hotplug_method"},
      {{"--memory", "hotplug_method=virtio-mem,hotplug_size=3M"}, "--memory: hotplug_size: not a"},
      {{"--memory", "hotplug_method=virtio-mem,hotplug_size=4M,hotplugged_size=1M"},
       "--memory: hotplugged_size: not a multiple of 2 MiB"},
      {{"--memory", "hotplug_method=virtio-mem,hotplug_size=4M,hotplugged_size=6M"},
       "--memory: hotplugged_size: more than"},
      {{"--memory", "hotplug_method=virtio-mem,hotplug_size=4M", "--device", "path=p"},
       "--device: not together with hotplug_size"},
      {{"--memory", "hotplug_method=virtio-mem,hotplug_size=4M", "--disk", "path=p,pin_memory=on"},
       "--disk: pin_memory: not together"},
      {{"--serial", "off,tty"}, "--serial: mode"},
      {{"--serial", "file"}, "--serial: file: \"=\" and a text are missing"},
      {{"--disk", "path=x,readonly"}, "--disk: readonly: \"=\""},
      {{"--memory", "size=1G,shared"}, "--memory: shared: \"=\""},
      {{"--serial", ""}, "--serial: mode: give one of"},
      {{"--console", ""}, "--console: mode: give one of"},
      {{"--console", "id=x"}, "--console: mode: give one of"},
      {{"--debug-console", "iobase=0x402"}, "--debug-console: mode: give one of"},
      {{"--serial", "file="}, "--serial: file: the path is missing"},
      {{"--serial", "socket="}, "--serial: socket: the path is missing"},
      {{"--serial", "socket=/x,tty"}, "--serial: mode"},
      {{"--serial", "null,escape=on"}, "--serial: escape"},
      {{"--console", "off,tty"}, "--console: mode"},
      {{"--debug-console", "tty,iobase=0x10000"}, "--debug-console: iobase"},
      {{"--vdpa", "path=a", "path=b"}, "--vdpa: not offered yet"},
      {{"--pvmemcontrol"}, "--pvmemcontrol: not offered yet"},
      {{"--pvpanic", "--transport", "mmio"}, "--pvpanic needs --transport pci"},
      {{"--seccomp", "on"}, "--seccomp: on: not one of"},
      {{"--seccomp", ""}, "--seccomp: : not one of"},
      {{"--landlock-rules", "access=r"}, "--landlock-rules: path"},
      {{"--landlock-rules", "path=/x"}, "--landlock-rules: access"},
      {{"--landlock-rules", "path=/x,access=wr"}, "--landlock-rules: access"},
      {{"--landlock-rules", "path=/x,access=r,mode=1"}, "--landlock-rules"},
      {{"--landlock-rules", "path=/nowhere/x,access=r"}, "--landlock-rules: path=/nowhere/x: "},
  }));
  CAPTURE(c.words);
  const auto got = with_kernel(c.words);
  REQUIRE_FALSE(got.has_value());
  CHECK(got.error().exit_code() == 2);
  CHECK_THAT(got.error().message, Catch::Contains(c.part));
}

TEST_CASE("a topology that the architecture cannot tell of is refused", "[options][hostile]") {
#if defined(__aarch64__)
  constexpr const char* kWrong = "boot=4,topology=1:2:2:1";
#else
  constexpr const char* kWrong = "boot=4,topology=4:1:1:1";
#endif
  const auto got = with_kernel({"--cpus", kWrong});
  REQUIRE_FALSE(got);
  CHECK(got.error().exit_code() == 2);
  CHECK_THAT(got.error().message, Catch::Contains("--cpus: topology: "));
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
  CHECK((got->vmm.vm->firmware == "/fw" && got->vmm.vm->kernel.empty()));
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
  CHECK(parse({"-vVv"})->action == Invocation::Action::kShowVersion);
  CHECK(parse({"-vVv"})->verbosity == 2);
  CHECK_FALSE(parse({"-vx"}).has_value());
  CHECK_THAT(help_text(), Catch::Contains("--memory") && Catch::Contains("--disk"));
}

}  // namespace
}  // namespace vmm::reference
