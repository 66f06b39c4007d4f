// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Which system calls the kinds of threads need. Found by reading, and with --seccomp log in the
// lab's tests; docs/sandbox.md has them as a table, which a test compares.

#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <span>

#include "thread_filters.h"

namespace vmm::reference {
namespace {

using sandbox::equals;
using sandbox::failing;
using sandbox::ioctl_of;
using sandbox::ioctls_of;
using sandbox::Rule;
using sandbox::without;

// The C library makes the newer of two calls where an architecture has no other.
#if defined(__x86_64__)
constexpr bool kOldCalls = true;
#else
constexpr bool kOldCalls = false;
#endif
constexpr const char* kPoll = kOldCalls ? "poll" : "ppoll";
constexpr const char* kEpollWait = kOldCalls ? "epoll_wait" : "epoll_pwait";
constexpr const char* kAccess = kOldCalls ? "access" : "faccessat";
constexpr const char* kReadlink = kOldCalls ? "readlink" : "readlinkat";
constexpr const char* kUnlink = kOldCalls ? "unlink" : "unlinkat";

constexpr std::uint8_t kKvmType = KVMIO;
constexpr std::uint8_t kVfioType = VFIO_TYPE;  // iommufd's as well
constexpr std::uint8_t kVhostType = 0xaf;
constexpr std::uint8_t kTerminalType = 'T';  // taps' as well
constexpr std::uint8_t kBlockType = 0x12;
constexpr std::uint8_t kInterfaceType = 0x89;

// Requests of iommufd, which are younger than the headers.
constexpr std::uint64_t kIoasMap = _IO(VFIO_TYPE, 0x85);
constexpr std::uint64_t kIoasUnmap = _IO(VFIO_TYPE, 0x86);

// KVM_SET_GSI_ROUTING: its header has another size in C++.
constexpr std::uint64_t kSetGsiRouting = _IOC(_IOC_WRITE, KVMIO, 0x6a, 8);

/// What pthread_create(3) asks for.
constexpr std::uint64_t kThreadFlags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM |
                                       CLONE_SIGHAND | CLONE_THREAD | CLONE_SETTLS |
                                       CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;

// Memory, locks, the end, and the terminal's settings when a crash is the end.
constexpr std::array kBasics{
    Rule{"write"},
    Rule{"preadv2"},  // of eventfds
    Rule{"close"},
    Rule{"futex"},
    Rule{.call = "mmap", .arguments = {without(2, PROT_EXEC)}},
    Rule{.call = "mprotect", .arguments = {without(2, PROT_EXEC)}},
    Rule{"munmap"},
    Rule{"mremap"},
    Rule{"madvise"},
    Rule{"brk"},
    Rule{"clock_gettime"},
    Rule{"rt_sigprocmask"},
    Rule{"rt_sigreturn"},
    Rule{"restart_syscall"},
    Rule{"getpid"},
    Rule{"gettid"},
    Rule{"exit"},
    // Of waiting for a short time: std::binary_semaphore.
    Rule{"sched_yield"},
    // Of malloc(3), when there are many threads.
    Rule{"sched_getaffinity"},
    ioctl_of(TCGETS),
    ioctl_of(TCSETS),
};
// free(3) looks whether memory is overcommitted, and can do without the answer.
constexpr std::array kNoFiles{failing("openat", EPERM)};

constexpr std::array kEventLoop{Rule{"read"},     Rule{kEpollWait},       Rule{"epoll_ctl"},
                                Rule{"eventfd2"}, Rule{"timerfd_create"}, Rule{"timerfd_settime"}};

// Interrupts by a pin of an interrupt controller that is in this process.
constexpr std::array kInterrupts{ioctl_of(KVM_SIGNAL_MSI), ioctl_of(KVM_IRQ_LINE)};

// Without clone3, whose flags no filter sees, the C library takes clone.
constexpr std::array kThreads{
    Rule{.call = "clone", .arguments = {equals(0, kThreadFlags)}},
    failing("clone3", ENOSYS),
    Rule{"set_robust_list"},
    Rule{"rseq"},
    Rule{.call = "prctl", .arguments = {equals(0, PR_SET_NAME)}},
    Rule{.call = "prctl", .arguments = {equals(0, PR_GET_NAME)}},
    Rule{.call = "prctl", .arguments = {equals(0, PR_SET_NO_NEW_PRIVS)}},
    Rule{.call = "prctl", .arguments = {equals(0, PR_SCHED_CORE)}},
    Rule{.call = "seccomp", .arguments = {equals(0, SECCOMP_SET_MODE_FILTER)}},
    Rule{"sched_setaffinity"}};

// Exits; what drivers set up through registers: BARs, interrupts, configuration of devices of the
// host and of other processes.
constexpr std::array kVcpu{ioctl_of(KVM_RUN),
                           ioctl_of(KVM_IOEVENTFD),
                           ioctl_of(KVM_IRQFD),
                           ioctl_of(KVM_IRQ_LINE),
                           ioctl_of(KVM_IRQ_LINE_STATUS),
                           ioctl_of(KVM_NMI),
                           ioctl_of(kSetGsiRouting),
                           ioctl_of(KVM_SET_USER_MEMORY_REGION),
                           ioctl_of(KVM_SET_VCPU_EVENTS),
                           ioctl_of(KVM_SIGNAL_MSI),
                           ioctl_of(KVM_SET_DEVICE_ATTR),
                           ioctl_of(VFIO_DEVICE_RESET),
                           ioctl_of(VFIO_DEVICE_SET_IRQS),
                           ioctl_of(VFIO_IOMMU_MAP_DMA),
                           ioctl_of(VFIO_IOMMU_UNMAP_DMA),
                           ioctl_of(kIoasMap),
                           ioctl_of(kIoasUnmap),
                           ioctl_of(TUNSETOFFLOAD),
                           ioctl_of(TUNSETQUEUE),
                           Rule{kPoll},
                           Rule{"eventfd2"},
                           Rule{"fcntl"},
                           Rule{"pread64"},
                           Rule{"pwrite64"},
                           Rule{"sendmsg"},
                           Rule{"recvmsg"},
                           Rule{"shutdown"},
                           Rule{"getrandom"}};

// Of vCPUs what they may, and more: machines are made and taken apart here.
constexpr std::array kControl{
    ioctls_of(kKvmType),     ioctls_of(kVfioType), ioctl_of(TUNSETOFFLOAD),
    ioctl_of(TUNSETQUEUE),   ioctl_of(TIOCGWINSZ), Rule{kPoll},
    Rule{"fcntl"},           Rule{"pread64"},      Rule{"pwrite64"},
    Rule{"sendmsg"},         Rule{"recvmsg"},      Rule{"sendto"},
    Rule{"shutdown"},        Rule{"accept4"},      Rule{"ftruncate"},
    Rule{"clock_nanosleep"}, Rule{"getrandom"},    Rule{"landlock_restrict_self"},
    Rule{"exit_group"}};

constexpr std::array kEvents{Rule{"read"}, Rule{kPoll}};

// Transfers, io_uring or not. Registering files, liburing may try to raise a limit.
constexpr std::array kDisk{
    Rule{"preadv"},         Rule{"pwritev"},        Rule{"pread64"},           Rule{"pwrite64"},
    Rule{"fdatasync"},      Rule{"fallocate"},      Rule{"ftruncate"},         Rule{"lseek"},
    Rule{"io_uring_enter"}, Rule{"io_uring_setup"}, Rule{"io_uring_register"}, Rule{kPoll}};
constexpr std::array kDiskOnly{failing("prlimit64", EPERM)};

constexpr std::array kNet{Rule{"readv"},   Rule{"writev"},          Rule{"recvmsg"},
                          Rule{"sendmsg"}, ioctl_of(TUNSETOFFLOAD), ioctl_of(TUNSETQUEUE),
                          Rule{kPoll},     ioctls_of(kVhostType)};

// Connections of Unix sockets, their descriptors, and windows of memory that come with them.
constexpr std::array kPeer{Rule{.call = "socket", .arguments = {equals(0, AF_UNIX)}},
                           Rule{.call = "socketpair", .arguments = {equals(0, AF_UNIX)}},
                           Rule{"connect"},
                           Rule{"accept4"},
                           Rule{"recvmsg"},
                           Rule{"sendmsg"},
                           Rule{"recvfrom"},
                           Rule{"sendto"},
                           Rule{"shutdown"},
                           Rule{"getsockopt"},
                           Rule{"setsockopt"},
                           Rule{"fcntl"},
                           Rule{"newfstatat"},
                           Rule{"fstat"},
                           Rule{"fstatfs"},
                           Rule{"pread64"},
                           Rule{"pwrite64"},
                           Rule{"getrandom"},
                           Rule{kPoll},
                           ioctl_of(KVM_SET_USER_MEMORY_REGION)};

// Consoles, entropy, persistent memory, balloons, clocks, the IOMMU, and the kernel's own devices.
constexpr std::array kDevice{Rule{"readv"},
                             Rule{"fsync"},
                             Rule{"fallocate"},
                             Rule{"lseek"},
                             Rule{kPoll},
                             ioctl_of(VFIO_IOMMU_MAP_DMA),
                             ioctl_of(VFIO_IOMMU_UNMAP_DMA),
                             ioctl_of(kIoasMap),
                             ioctl_of(kIoasUnmap),
                             ioctls_of(kVhostType)};

// Files, taps, sockets, devices of the host; what belongs to those goes here too. Serves no queue,
// but begins the threads that do.
constexpr std::array kOpening{Rule{"openat"},
                              Rule{"newfstatat"},
                              Rule{"fstat"},
                              Rule{"statx"},
                              Rule{kAccess},
                              Rule{"faccessat2"},
                              Rule{kReadlink},
                              Rule{kUnlink},
                              Rule{"getdents64"},
                              Rule{"getcwd"},
                              Rule{"memfd_create"},
                              Rule{"mlock"},
                              Rule{"sysinfo"},
                              Rule{"prlimit64"},
                              Rule{"getrandom"},
                              Rule{"rt_sigaction"},
                              Rule{"clock_nanosleep"},
                              Rule{.call = "socket", .arguments = {equals(0, AF_INET)}},
                              Rule{"epoll_create1"},
                              Rule{"bind"},
                              Rule{"listen"},
                              Rule{"landlock_create_ruleset"},
                              Rule{"landlock_add_rule"},
                              Rule{"landlock_restrict_self"},
                              ioctls_of(kKvmType),
                              ioctls_of(kVfioType),
                              ioctls_of(kTerminalType),
                              ioctls_of(kBlockType),
                              ioctls_of(kInterfaceType)};

using Group = std::span<const Rule>;

std::vector<Group> groups_of(ThreadKind kind) {
  switch (kind) {
    case ThreadKind::kOpener:
      return {kBasics, kEventLoop, kThreads, kDisk, kNet, kPeer, kDevice, kOpening};
    case ThreadKind::kControl:
      return {kControl, kBasics, kNoFiles, kEventLoop, kThreads};
    case ThreadKind::kVcpu:
      return {kVcpu, kBasics, kNoFiles};
    case ThreadKind::kEvents:
      return {kBasics, kNoFiles, kEvents};
    case ThreadKind::kDisk:
      return {kInterrupts, kDisk, kDiskOnly, kBasics, kNoFiles, kEventLoop};
    case ThreadKind::kNet:
      return {kInterrupts, kNet, kBasics, kNoFiles, kEventLoop};
    case ThreadKind::kPeer:
      return {kInterrupts, kPeer, kBasics, kNoFiles, kEventLoop};
    case ThreadKind::kDevice:
      return {kInterrupts, kDevice, kBasics, kNoFiles, kEventLoop};
  }
  return {};
}

}  // namespace

const char* name_of(ThreadKind kind) {
  switch (kind) {
    case ThreadKind::kOpener:
      return "opener";
    case ThreadKind::kControl:
      return "control";
    case ThreadKind::kVcpu:
      return "vCPU";
    case ThreadKind::kEvents:
      return "event monitor";
    case ThreadKind::kDisk:
      return "disk";
    case ThreadKind::kNet:
      return "network";
    case ThreadKind::kPeer:
      return "peer";
    case ThreadKind::kDevice:
      return "device";
  }
  return "";
}

ThreadKind begun_by(ThreadKind kind) {
  switch (kind) {
    case ThreadKind::kOpener:
    case ThreadKind::kControl:
    case ThreadKind::kEvents:
      return kind;
    case ThreadKind::kVcpu:
      return ThreadKind::kControl;
    case ThreadKind::kDisk:
    case ThreadKind::kNet:
    case ThreadKind::kPeer:
    case ThreadKind::kDevice:
      break;
  }
  return ThreadKind::kOpener;
}

std::vector<Rule> rules_for(ThreadKind kind, pid_t process) {
  std::vector<Rule> rules;
  for (const Group group : groups_of(kind)) rules.insert(rules.end(), group.begin(), group.end());
  // Signals for other processes are nobody's business. The upper half of a pid_t may be anything.
  constexpr std::uint64_t kLow = 0xffff'ffff;
  rules.push_back(
      {.call = "tgkill",
       .arguments = {{{.index = 0, .mask = kLow, .value = static_cast<std::uint64_t>(process)}}}});
  return rules;
}

}  // namespace vmm::reference
