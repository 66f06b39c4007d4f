// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "socket_relay.h"

#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <string>

#include "open_fds.h"
#include "vmm/sys_util/temp_directory.h"

namespace vmm::reference {
namespace {

/// A relay whose console is the test.
class Rig {
 public:
  Rig() {
    int fds[2] = {-1, -1};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
    console.reset(fds[0]);
    auto made = SocketRelay::create(UniqueFd(fds[1]), listener_, loop_);
    REQUIRE(made.has_value());
    relay_ = *std::move(made);
  }
  UniqueFd connect() {
    auto fd = sys_util::connect_unix(folder_.path() + "/serial");
    REQUIRE(fd.has_value());
    turn();
    return *std::move(fd);
  }
  void turn() {
    for (int i = 0; i < 50; ++i) (void)*loop_.run_once(std::chrono::milliseconds(0));
  }
  void say(const UniqueFd& fd, std::string_view text) {
    while (!text.empty()) {
      const ssize_t n = ::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL);
      if (n > 0) text.remove_prefix(static_cast<std::size_t>(n));
      turn();
      if (n < 0) return;
    }
  }
  std::string hear(const UniqueFd& fd, bool* over = nullptr) {
    std::string all;
    char bytes[65536];
    for (;;) {
      turn();
      const ssize_t n = ::recv(fd.get(), bytes, sizeof(bytes), MSG_DONTWAIT);
      if (over != nullptr) *over = n == 0;
      if (n <= 0) return all;
      all.append(bytes, static_cast<std::size_t>(n));
    }
  }

  UniqueFd console;

 private:
  sys_util::TempDirectory folder_ = *sys_util::TempDirectory::create();
  sys_util::UnixListener listener_ = *sys_util::UnixListener::create(folder_.path() + "/serial");
  event_manager::EventLoop loop_ = *event_manager::EventLoop::create();
  std::unique_ptr<SocketRelay> relay_;
};

TEST_CASE("serial socket: a client hears what was said before, and both talk", "[socket-relay]") {
  Rig rig;
  rig.say(rig.console, "booting\n");
  const UniqueFd client = rig.connect();
  CHECK(rig.hear(client) == "booting\n");
  rig.say(client, "root\n");
  CHECK(rig.hear(rig.console) == "root\n");
  rig.say(rig.console, "Password:");
  CHECK(rig.hear(client) == "Password:");
}

TEST_CASE("serial socket: one client at a time, and the next one goes on", "[socket-relay]") {
  Rig rig;
  const std::size_t before = open_fds();
  {
    const UniqueFd first = rig.connect();
    const UniqueFd second = rig.connect();
    bool over = false;
    rig.hear(second, &over);
    CHECK(over);
    rig.say(rig.console, "for the first");
    CHECK(rig.hear(first) == "for the first");
  }
  rig.turn();
  CHECK(open_fds() == before);
  rig.say(rig.console, "meanwhile");
  const UniqueFd third = rig.connect();
  CHECK(rig.hear(third) == "meanwhile");
}

TEST_CASE("serial socket: who has nothing more to type still hears", "[socket-relay]") {
  Rig rig;
  const UniqueFd client = rig.connect();
  rig.say(client, "poweroff\n");
  REQUIRE(::shutdown(client.get(), SHUT_WR) == 0);
  rig.turn();
  CHECK(rig.hear(rig.console) == "poweroff\n");
  rig.say(rig.console, "going down");
  CHECK(rig.hear(client) == "going down");
}

TEST_CASE("serial socket: what nobody hears is bounded, the latest is kept",
          "[socket-relay][hostile]") {
  Rig rig;
  const std::string lines = std::string(1 << 20, 'x') + "the end";
  rig.say(rig.console, lines);
  const UniqueFd client = rig.connect();
  const std::string heard = rig.hear(client);
  CHECK(heard.size() == SocketRelay::kKept);
  CHECK(heard.ends_with("the end"));
}

TEST_CASE("serial socket: a client that does not read, and one that types without end",
          "[socket-relay][hostile]") {
  Rig rig;
  const UniqueFd deaf = rig.connect();
  rig.say(rig.console, std::string(4 << 20, 'x'));  // all of it is taken
  rig.say(rig.console, "the end");
  CHECK(rig.hear(deaf).ends_with("the end"));
  std::size_t typed = 0;
  const std::string part(65536, 'k');
  for (ssize_t n = 0; (n = ::send(deaf.get(), part.data(), part.size(), MSG_DONTWAIT)) > 0;) {
    typed += static_cast<std::size_t>(n);
    rig.turn();
  }
  CHECK(typed < std::size_t{4} << 20);  // it has to wait for the guest
  CHECK(rig.hear(rig.console).size() == typed);
}

TEST_CASE("serial socket: what a client typed before it left is not lost", "[socket-relay]") {
  Rig rig;
  const std::size_t before = open_fds();
  const std::string text(60000, 't');
  UniqueFd first = rig.connect();
  REQUIRE(::send(first.get(), text.data(), text.size(), MSG_DONTWAIT) == 60000);
  first.reset();
  rig.say(rig.console, "gone?");
  CHECK(rig.hear(rig.console) == text);
  CHECK(open_fds() == before);
  CHECK(rig.hear(rig.connect()) == "gone?");
}

TEST_CASE("serial socket: the next client waits only for its turn to type", "[socket-relay]") {
  Rig rig;
  const std::size_t before = open_fds();
  std::size_t typed = 0;
  {
    const UniqueFd first = rig.connect();
    const std::string part(65536, 'k');
    for (ssize_t n = 0; (n = ::send(first.get(), part.data(), part.size(), MSG_DONTWAIT)) > 0;) {
      typed += static_cast<std::size_t>(n);
      rig.turn();
    }
  }
  const UniqueFd second = rig.connect();  // the guest has read nothing yet
  rig.say(rig.console, "login:");
  CHECK(rig.hear(second) == "login:");
  rig.say(second, "root");
  const std::string heard = rig.hear(rig.console);
  CHECK(heard.size() == typed + 4);
  CHECK(heard.ends_with("kroot"));
  CHECK(open_fds() == before + 2);
}

}  // namespace
}  // namespace vmm::reference
