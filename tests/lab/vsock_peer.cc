// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Connects, listens and checks, over AF_VSOCK in a guest and over Unix sockets on its host.
//
//   vsock-peer COMMAND ADDRESS [COUNT]
//
// Who listens says "listening" on standard error once others can connect.
//
//   cat       standard input to the peer, then ends that direction; the peer to standard output
//   echo      listens; sends back what comes, until each peer ends its direction
//   drain     listens for one peer; writes what comes to standard output and, at its end, answers
//             "drained BYTES"
//   gather    listens; writes what comes to standard output, one peer after the other
//   count     listens; tells each peer how many came before
//   many      COUNT connections at once to an echo, each with a message of its own, twice
//   messages  COUNT messages of all lengths to an echo of messages; each has to come back as it is
//
//   vsock:CID:PORT  vsock-seq:CID:PORT  unix:PATH  unix-seq:PATH
//   hybrid:PATH:PORT   the guest's port behind a VMM's Unix socket

// In this order, as older kernel headers need the other one.
// clang-format off
#include <sys/socket.h>
#include <linux/vm_sockets.h>
// clang-format on
#include <signal.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace {

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "vsock-peer: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}
[[noreturn]] void wrong(const std::string& what) {
  std::fprintf(stderr, "vsock-peer: %s\n", what.c_str());
  std::exit(1);
}

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;
  int type = SOCK_STREAM;
  std::string port;  // to ask a VMM for

  [[nodiscard]] const sockaddr* generic() const {
    return reinterpret_cast<const sockaddr*>(&storage);
  }
};

Address vsock_address(const std::string& rest) {
  const auto colon = rest.find(':');
  if (colon == std::string::npos) wrong("vsock:CID:PORT");
  sockaddr_vm vm{};
  vm.svm_family = AF_VSOCK;
  vm.svm_cid = static_cast<unsigned>(std::strtoll(rest.c_str(), nullptr, 10));
  vm.svm_port = static_cast<unsigned>(std::strtoul(rest.c_str() + colon + 1, nullptr, 10));
  Address address;
  std::memcpy(&address.storage, &vm, sizeof(vm));
  address.length = sizeof(vm);
  return address;
}

Address unix_address(const std::string& path) {
  sockaddr_un local{};
  local.sun_family = AF_UNIX;
  if (path.size() >= sizeof(local.sun_path)) wrong(path + ": too long");
  std::memcpy(local.sun_path, path.data(), path.size());
  Address address;
  std::memcpy(&address.storage, &local, sizeof(local));
  address.length = sizeof(local);
  return address;
}

Address parse(const std::string& text) {
  const auto colon = text.find(':');
  const std::string kind = text.substr(0, colon);
  std::string rest = colon == std::string::npos ? "" : text.substr(colon + 1);
  Address address;
  if (kind == "hybrid") {
    const auto last = rest.rfind(':');
    if (last == std::string::npos) wrong("hybrid:PATH:PORT");
    address = unix_address(rest.substr(0, last));
    address.port = rest.substr(last + 1);
  } else if (kind.starts_with("vsock")) {
    address = vsock_address(rest);
  } else if (kind.starts_with("unix")) {
    address = unix_address(rest);
  } else {
    wrong(text + ": what address is that?");
  }
  if (kind.ends_with("-seq")) address.type = SOCK_SEQPACKET;
  return address;
}

void send_all(int fd, const char* bytes, std::size_t count) {
  while (count != 0) {
    const ssize_t sent = ::send(fd, bytes, count, MSG_NOSIGNAL);
    if (sent < 0) die("send");
    bytes += sent;
    count -= static_cast<std::size_t>(sent);
  }
}

void write_all(int fd, const char* bytes, std::size_t count) {
  while (count != 0) {
    const ssize_t written = ::write(fd, bytes, count);
    if (written < 0) die("write");
    bytes += written;
    count -= static_cast<std::size_t>(written);
  }
}

// "OK PORT", byte by byte, as what follows is the connection's.
void greet(int fd, const std::string& port) {
  const std::string line = "CONNECT " + port + "\n";
  send_all(fd, line.data(), line.size());
  std::string answer;
  for (char byte = 0; byte != '\n';) {
    const ssize_t got = ::recv(fd, &byte, 1, 0);
    if (got <= 0) wrong("port " + port + ": refused");
    answer += byte;
  }
  if (!answer.starts_with("OK ")) wrong("the VMM says: " + answer);
}

int connect_to(const Address& address) {
  const int fd = ::socket(address.storage.ss_family, address.type, 0);
  if (fd < 0) die("socket");
  if (::connect(fd, address.generic(), address.length) != 0) die("connect");
  if (!address.port.empty()) greet(fd, address.port);
  return fd;
}

int listen_at(const Address& address) {
  const int fd = ::socket(address.storage.ss_family, address.type, 0);
  if (fd < 0) die("socket");
  if (::bind(fd, address.generic(), address.length) != 0) die("bind");
  if (::listen(fd, 128) != 0) die("listen");
  std::fputs("listening\n", stderr);
  return fd;
}

int accept_from(int listener) {
  const int fd = ::accept(listener, nullptr, nullptr);
  if (fd < 0) die("accept");
  return fd;
}

std::vector<char>& buffer() {
  static std::vector<char> bytes(256 << 10);
  return bytes;
}

// A process for each direction, as both sides may wait for the other to read.
[[noreturn]] void send_input(int fd) {
  for (;;) {
    const ssize_t got = ::read(STDIN_FILENO, buffer().data(), buffer().size());
    if (got < 0) die("read");
    if (got == 0) break;
    send_all(fd, buffer().data(), static_cast<std::size_t>(got));
  }
  ::shutdown(fd, SHUT_WR);
  std::exit(0);
}

int cat(const Address& address) {
  const int fd = connect_to(address);
  const pid_t sender = ::fork();
  if (sender == 0) send_input(fd);
  for (;;) {
    const ssize_t got = ::recv(fd, buffer().data(), buffer().size(), 0);
    if (got < 0) die("recv");
    if (got == 0) break;
    write_all(STDOUT_FILENO, buffer().data(), static_cast<std::size_t>(got));
  }
  ::kill(sender, SIGTERM);
  return 0;
}

[[noreturn]] void echo_one(int fd) {
  for (;;) {
    const ssize_t got = ::recv(fd, buffer().data(), buffer().size(), 0);
    if (got <= 0) std::exit(0);
    send_all(fd, buffer().data(), static_cast<std::size_t>(got));
  }
}

int echo(const Address& address) {
  const int listener = listen_at(address);
  ::signal(SIGCHLD, SIG_IGN);
  for (;;) {
    const int fd = accept_from(listener);
    if (::fork() == 0) echo_one(fd);
    ::close(fd);
  }
}

// To standard output, until its end.
unsigned long long take_all(int fd) {
  unsigned long long total = 0;
  for (;;) {
    const ssize_t got = ::recv(fd, buffer().data(), buffer().size(), 0);
    if (got < 0) die("recv");
    if (got == 0) break;
    write_all(STDOUT_FILENO, buffer().data(), static_cast<std::size_t>(got));
    total += static_cast<unsigned long long>(got);
  }
  return total;
}

int drain(const Address& address) {
  const int fd = accept_from(listen_at(address));
  const std::string answer = "drained " + std::to_string(take_all(fd)) + "\n";
  send_all(fd, answer.data(), answer.size());
  return 0;
}

int gather(const Address& address) {
  const int listener = listen_at(address);
  for (;;) {
    const int fd = accept_from(listener);
    (void)take_all(fd);
    ::close(fd);
  }
}

int count(const Address& address) {
  const int listener = listen_at(address);
  for (int number = 0;; ++number) {
    const int fd = accept_from(listener);
    const std::string text = std::to_string(number) + "\n";
    send_all(fd, text.data(), text.size());
    ::close(fd);
  }
}

void exchange(int fd, const std::string& text) {
  send_all(fd, text.data(), text.size());
  std::string back(text.size(), '\0');
  for (std::size_t at = 0; at != back.size();) {
    const ssize_t got = ::recv(fd, back.data() + at, back.size() - at, 0);
    if (got <= 0) wrong("no answer to \"" + text + "\"");
    at += static_cast<std::size_t>(got);
  }
  if (back != text) wrong("\"" + back + "\" instead of \"" + text + "\"");
}

int many(const Address& address, int connections) {
  std::vector<int> fds;
  for (int i = 0; i < connections; ++i) fds.push_back(connect_to(address));
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < connections; ++i) {
      exchange(fds[static_cast<std::size_t>(i)],
               "round " + std::to_string(round) + " of " + std::to_string(i));
    }
  }
  std::printf("many: %d connections\n", connections);
  return 0;
}

// Lengths from 1 byte to 100000, so that some pass the buffers of the guest's driver.
int messages(const Address& address, int how_many) {
  const int fd = connect_to(address);
  std::vector<char> sent(100000);
  for (int i = 0; i < how_many; ++i) {
    const std::size_t length = std::min<std::size_t>(
        sent.size(), 1 + static_cast<std::size_t>(i) * static_cast<std::size_t>(i) * 40);
    for (std::size_t at = 0; at < length; ++at) sent[at] = static_cast<char>(at * 7 + length);
    send_all(fd, sent.data(), length);
    const ssize_t got = ::recv(fd, buffer().data(), buffer().size(), 0);
    if (got != static_cast<ssize_t>(length)) {
      wrong("a message of " + std::to_string(length) + " came back as " + std::to_string(got));
    }
    if (!std::equal(sent.begin(), sent.begin() + got, buffer().begin())) {
      wrong("a message of " + std::to_string(length) + " came back changed");
    }
  }
  std::printf("messages: %d\n", how_many);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) wrong("COMMAND ADDRESS [COUNT]");
  const std::string_view command = argv[1];
  const Address address = parse(argv[2]);
  const int number = argc > 3 ? std::atoi(argv[3]) : 1;
  if (command == "cat") return cat(address);
  if (command == "echo") return echo(address);
  if (command == "drain") return drain(address);
  if (command == "gather") return gather(address);
  if (command == "count") return count(address);
  if (command == "many") return many(address, number);
  if (command == "messages") return messages(address, number);
  wrong(std::string(command) + ": what command is that?");
}
