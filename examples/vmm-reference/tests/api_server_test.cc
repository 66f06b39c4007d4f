// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "api_server.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "api_socket.h"
#include "open_fds.h"
#include "vmm/sys_util/fd_passing.h"
#include "vmm/sys_util/temp_directory.h"

namespace vmm::reference {
namespace {

using Catch::Contains;

/// A server that answers with what it got, and clients of it, all on this thread.
class Rig {
 public:
  explicit Rig(std::chrono::milliseconds patience = std::chrono::seconds(30)) {
    auto made = ApiServer::create(socket_.listener(), loop_,
                                  {.answer =
                                       [this](HttpRequest request, ApiConnection::Reply reply) {
                                         if (request.target != "/later")
                                           return reply(answer(std::move(request)));
                                         ++requests;
                                         later.push_back(std::move(reply));
                                       },
                                   .patience = patience});
    REQUIRE(made.has_value());
    server_ = *std::move(made);
  }

  UniqueFd connect() {
    auto fd = sys_util::connect_unix(path());
    REQUIRE(fd.has_value());
    turn();
    return *std::move(fd);
  }
  void turn(int milliseconds = 0) {
    for (int i = 0; i < 20; ++i) (void)*loop_.run_once(std::chrono::milliseconds(0));
    if (milliseconds == 0) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
    turn();
  }
  /// How many descriptors are ready in one round.
  std::size_t round() { return *loop_.run_once(std::chrono::milliseconds(0)); }
  void send(const UniqueFd& fd, std::string_view text) {
    while (!text.empty()) {
      const ssize_t n = ::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL);
      if (n > 0) text.remove_prefix(static_cast<std::size_t>(n));
      turn();
      if (n < 0 && errno != EAGAIN) return;
    }
  }
  std::string receive(const UniqueFd& fd, bool* over = nullptr) {
    std::string all;
    char bytes[65536];
    for (;;) {
      turn();
      const ssize_t n = ::recv(fd.get(), bytes, sizeof(bytes), 0);
      if (over != nullptr) *over = n == 0 || (n < 0 && errno != EAGAIN);
      if (n <= 0) return all;
      all.append(bytes, static_cast<std::size_t>(n));
    }
  }
  /// Whether the server ends the connection, in time. What it has sent stays to be received.
  bool ends(const UniqueFd& fd) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    for (;;) {
      pollfd poll{.fd = fd.get(), .events = POLLRDHUP, .revents = 0};
      if (::poll(&poll, 1, 0) == 1) return true;
      if (std::chrono::steady_clock::now() > end) return false;
      turn(5);
    }
  }
  std::string path() const { return folder_.path() + "/api"; }

  std::size_t requests = 0;
  std::size_t fds = 0;
  std::vector<std::size_t> fds_of;  // of each request
  HttpAnswer next{};
  std::vector<ApiConnection::Reply> later;  // of those who asked for that

 private:
  HttpAnswer answer(HttpRequest request) {
    ++requests;
    fds += request.fds.size();
    fds_of.push_back(request.fds.size());
    if (next.body) return next;
    constexpr const char* kMethods[] = {"GET", "PUT", "?"};
    return {.status = 200,
            .body = std::string(kMethods[static_cast<int>(request.method)]) + " " + request.target +
                    " " + std::to_string(request.body.size())};
  }

  sys_util::TempDirectory folder_ = *sys_util::TempDirectory::create();
  ApiSocket socket_ = *ApiSocket::open({.path = path()});
  event_manager::EventLoop loop_ = *event_manager::EventLoop::create();
  std::unique_ptr<ApiServer> server_;
};

constexpr const char* kPing = "GET /p HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n";

TEST_CASE("API: headers are spelled as clients expect them", "[api]") {
  CHECK(
      HttpAnswer{.status = 204}.text(true) ==
      "HTTP/1.1 204 No Content\r\nServer: Cloud Hypervisor API\r\nConnection: keep-alive\r\n\r\n");
  CHECK(HttpAnswer{.status = 200, .body = "[]"}.text(false) ==
        "HTTP/1.1 200 OK\r\nServer: Cloud Hypervisor API\r\nConnection: close\r\n"
        "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n[]");
}

TEST_CASE("API: requests of one connection are answered in order", "[api]") {
  Rig rig;
  const UniqueFd client = rig.connect();
  rig.send(client, kPing);
  CHECK_THAT(rig.receive(client), Contains("\r\n\r\nGET /p 0"));
  rig.send(client,
           "PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcPUT /b HTTP/1.1\r\n"
           "Host: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwxyz\r\n0\r\n\r\n");
  CHECK_THAT(rig.receive(client), Contains("PUT /a 3") && Contains("PUT /b 4"));
  rig.send(client, "DELETE /c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  bool over = false;
  CHECK_THAT(rig.receive(client, &over), Contains("? /c 0") && Contains("Connection: close"));
  CHECK(over);
  CHECK(rig.requests == 4);
}

TEST_CASE("API: a byte at a time is a request too", "[api]") {
  Rig rig;
  const UniqueFd client = rig.connect();
  for (const char c : std::string("PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nxy")) {
    CHECK(rig.receive(client).empty());
    rig.send(client, std::string(1, c));
  }
  CHECK_THAT(rig.receive(client), Contains("PUT /a 2"));
}

// The parser underneath aborts when it sees the last chunk's size again with a byte or two behind
// it.
TEST_CASE("API: chunks a byte at a time are a request too", "[api][hostile]") {
  const std::string chunks = GENERATE(as<std::string>{}, "", "1\r\nx\r\n", "2;a=b\r\nxy\r\n");
  const std::string last =
      GENERATE(as<std::string>{}, "0\r\n\r\n", "0000\r\n\r\n", "0\r\nA: b\r\n\r\n");
  CAPTURE(chunks, last);
  Rig rig;
  const UniqueFd client = rig.connect();
  rig.send(client, "PUT /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (const char c : chunks + last) {
    CHECK(rig.receive(client).empty());
    rig.send(client, std::string(1, c));
  }
  CHECK_THAT(rig.receive(client), Contains("PUT /a"));
  rig.send(client, kPing);
  CHECK_THAT(rig.receive(client), Contains("GET /p"));
}

TEST_CASE("API: who only sends still gets the answer", "[api]") {
  Rig rig;
  const UniqueFd client = rig.connect();
  rig.send(client, kPing);
  REQUIRE(::shutdown(client.get(), SHUT_WR) == 0);
  bool over = false;
  CHECK_THAT(rig.receive(client, &over), Contains("GET /p"));
  CHECK(over);
}

TEST_CASE("API: a client that waits for 100 Continue is told to go on", "[api]") {
  Rig rig;
  const UniqueFd client = rig.connect();
  rig.send(client,
           "PUT /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  CHECK(rig.receive(client) == "HTTP/1.1 100 Continue\r\n\r\n");
  rig.send(client, "xy");
  CHECK_THAT(rig.receive(client), Contains("PUT /a 2"));
}

TEST_CASE("API: malformed requests are answered and end the connection", "[api][hostile]") {
  const std::string text =
      GENERATE(as<std::string>{}, "nonsense\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n",
               "\r\n\r\n\r\n\r\n\x01", "GET / HTTP/1.1\r\nNo colon\r\n\r\n",
               "PUT / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
               "PUT / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
               "PUT / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
               "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
  Rig rig(std::chrono::milliseconds(50));
  const UniqueFd client = rig.connect();
  INFO(text);
  rig.send(client, text);
  CHECK_THAT(rig.receive(client), Contains("HTTP/1.1 400") &&
                                      Contains(R"(["Error from API","Malformed HTTP request"])"));
  CHECK(rig.ends(client));
  bool over = false;
  rig.receive(client, &over);
  CHECK(over);
  CHECK(rig.requests == 0);
}

TEST_CASE("API: headers and bodies are bounded", "[api][hostile]") {
  Rig rig;
  const UniqueFd header = rig.connect();
  rig.send(header, "GET / HTTP/1.1\r\nX: " + std::string(HttpParser::kMaxHeaderBytes, 'x'));
  CHECK_THAT(rig.receive(header), Contains("HTTP/1.1 400"));
  const UniqueFd body = rig.connect();
  rig.send(body, "PUT / HTTP/1.1\r\nContent-Length: 4194305\r\n\r\n");
  CHECK_THAT(rig.receive(body), Contains("HTTP/1.1 413"));
  const UniqueFd most = rig.connect();
  rig.send(most, "PUT / HTTP/1.1\r\nContent-Length: 4194304\r\n\r\n" + std::string(4 << 20, 'x'));
  CHECK_THAT(rig.receive(most), Contains("PUT / 4194304"));
  const UniqueFd chunked = rig.connect();
  rig.send(chunked, "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n400001\r\n" +
                        std::string((4 << 20) + 1, 'x') + "\r\n0\r\n\r\n");
  CHECK_THAT(rig.receive(chunked), Contains("HTTP/1.1 413"));
}

TEST_CASE("API: extensions of chunks and trailers are bounded", "[api][hostile]") {
  const std::string before =
      GENERATE(as<std::string>{}, "5;", "0\r\nA: ", "0\r\nA: b\r\nC: d\r\nE: ");
  const std::string endless =
      GENERATE(as<std::string>{}, std::string(1000, 'x'), std::string(500, 'x') + "\r\nB: ");
  if (before == "5;" && endless.back() == ' ') return;
  INFO(before << endless.substr(490));
  Rig rig;
  const UniqueFd client = rig.connect();
  rig.send(client, "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + before);
  std::string answer;
  for (std::size_t sent = 0; answer.empty() && sent < 2 * HttpParser::kMaxHeaderBytes;
       sent += endless.size()) {
    rig.send(client, endless);
    answer = rig.receive(client);
  }
  CHECK_THAT(answer, Contains("HTTP/1.1 400"));
  CHECK(rig.requests == 0);
}

TEST_CASE("API: a target may name the host", "[api]") {
  Rig rig;
  const UniqueFd client = rig.connect();
  for (const char* target : {"http://localhost/p", "HTTP://x:80/p"}) {
    rig.send(client, "GET " + std::string(target) + " HTTP/1.1\r\nHost: localhost\r\n\r\n");
    CHECK_THAT(rig.receive(client), Contains("GET /p 0"));
  }
  rig.send(client, "GET http://localhost HTTP/1.1\r\nHost: localhost\r\n\r\n");
  CHECK_THAT(rig.receive(client), Contains("GET / 0"));
}

TEST_CASE("API: after HEAD nothing can be taken for its answer", "[api]") {
  Rig rig;
  const UniqueFd client = rig.connect();
  rig.send(client, "HEAD /p HTTP/1.1\r\nHost: localhost\r\n\r\n");
  bool over = false;
  CHECK_THAT(rig.receive(client, &over), Contains("Connection: close"));
  CHECK(over);
}

TEST_CASE("API: slow clients have to go, idle ones may stay", "[api][hostile]") {
  Rig rig(std::chrono::milliseconds(100));
  const UniqueFd idle = rig.connect();
  const UniqueFd slow = rig.connect();
  rig.send(slow, "GET / HT");
  bool over = false;
  for (int i = 0; i < 1000 && !over; ++i) {
    rig.turn(40);
    (void)!::send(slow.get(), "T", 1, MSG_NOSIGNAL);
    rig.receive(slow, &over);
  }
  CHECK(over);
  rig.send(idle, kPing);
  CHECK_THAT(rig.receive(idle, &over), Contains("GET /p"));
  CHECK_FALSE(over);
}

TEST_CASE("API: who was slow once and got its answer may stay too", "[api]") {
  Rig rig(std::chrono::milliseconds(1000));
  const UniqueFd client = rig.connect();
  const std::string_view text = kPing;
  rig.send(client, text.substr(0, 8));
  rig.turn(20);
  rig.send(client, text.substr(8));
  bool over = true;
  CHECK_THAT(rig.receive(client, &over), Contains("GET /p"));
  rig.turn(1200);
  rig.receive(client, &over);
  CHECK_FALSE(over);
}

TEST_CASE("API: who does not take the answer has to go", "[api][hostile]") {
  Rig rig(std::chrono::milliseconds(100));
  rig.next = {.status = 200, .body = std::string(8 << 20, 'x')};
  const UniqueFd greedy = rig.connect();
  rig.send(greedy, kPing);
  rig.send(greedy, kPing);
  CHECK(rig.requests == 1);  // the second waits until the first answer is taken
  CHECK(rig.ends(greedy));
  bool over = false;
  const std::string got = rig.receive(greedy, &over);
  CHECK(over);
  CHECK(got.size() < std::size_t{8} << 20);
}

TEST_CASE("API: the longest silent one of too many clients has to go", "[api][hostile]") {
  Rig rig;
  std::vector<UniqueFd> clients;
  for (std::size_t i = 0; i < ApiServer::kMaxClients; ++i) clients.push_back(rig.connect());
  rig.send(clients[0], kPing);
  CHECK_THAT(rig.receive(clients[0]), Contains("GET /p"));
  const UniqueFd last = rig.connect();
  rig.send(last, kPing);
  CHECK_THAT(rig.receive(last), Contains("GET /p"));
  bool over = true;
  rig.receive(clients[0], &over);
  CHECK_FALSE(over);
  rig.receive(clients[1], &over);
  CHECK(over);
}

constexpr const char* kLater = "GET /later HTTP/1.1\r\nHost: localhost\r\n\r\n";

TEST_CASE("API: an answer may come later, and nobody else waits for it", "[api]") {
  Rig rig(std::chrono::milliseconds(100));
  const UniqueFd patient = rig.connect();
  rig.send(patient, std::string(kLater) + kPing);
  const UniqueFd other = rig.connect();
  rig.send(other, kPing);
  CHECK_THAT(rig.receive(other), Contains("GET /p"));
  rig.turn(200);  // it is not the client that is slow
  bool over = true;
  CHECK(rig.receive(patient, &over).empty());
  CHECK_FALSE(over);
  REQUIRE(rig.later.size() == 1);
  CHECK(rig.requests == 2);
  rig.later[0]({.status = 200, .body = "at last"});
  rig.later[0]({.status = 200, .body = "twice"});
  const std::string got = rig.receive(patient, &over);
  CHECK_THAT(got, Contains("at last") && Contains("GET /p") && !Contains("twice"));
  CHECK(got.find("at last") < got.find("GET /p"));
  CHECK_FALSE(over);
}

TEST_CASE("API: who sends no more gets the late answer too", "[api]") {
  Rig rig;
  const UniqueFd client = rig.connect();
  rig.send(client, kLater);
  REQUIRE(::shutdown(client.get(), SHUT_WR) == 0);
  rig.turn();
  REQUIRE(rig.later.size() == 1);
  rig.later[0]({.status = 200, .body = "at last"});
  bool over = false;
  CHECK_THAT(rig.receive(client, &over), Contains("at last"));
  CHECK(over);
}

TEST_CASE("API: late answers for clients that have gone are for nobody", "[api][hostile]") {
  Rig rig;
  const std::size_t before = open_fds();
  {
    const UniqueFd client = rig.connect();
    rig.send(client, kLater);
  }
  rig.turn();
  CHECK(open_fds() == before);  // its end is seen while it waits
  REQUIRE(rig.later.size() == 1);
  rig.later[0]({.status = 200, .body = "at last"});
  const UniqueFd other = rig.connect();
  rig.send(other, kPing);
  CHECK_THAT(rig.receive(other), Contains("GET /p"));
}

TEST_CASE("API: who waits for an answer goes after all others", "[api][hostile]") {
  Rig rig;
  std::vector<UniqueFd> clients;
  clients.push_back(rig.connect());
  rig.send(clients[0], kLater);
  for (std::size_t i = 1; i <= ApiServer::kMaxClients; ++i) clients.push_back(rig.connect());
  bool over = true;
  rig.receive(clients[0], &over);
  CHECK_FALSE(over);
  rig.receive(clients[1], &over);
  CHECK(over);
  for (const UniqueFd& client : clients) rig.send(client, kLater);
  const UniqueFd last = rig.connect();
  rig.send(last, kPing);
  CHECK_THAT(rig.receive(last), Contains("GET /p"));
  rig.receive(clients[0], &over);
  CHECK(over);
}

TEST_CASE("API: descriptors arrive with their request and do not leak", "[api]") {
  Rig rig;
  const std::size_t before = open_fds();
  {
    const UniqueFd client = rig.connect();
    std::vector<int> fds(3, client.get());
    const std::string_view text = kPing;
    REQUIRE(sys_util::send_with_fds(client.get(), std::as_bytes(std::span(text)), fds).has_value());
    CHECK_THAT(rig.receive(client), Contains("GET /p"));
    CHECK(rig.fds == 3);
    rig.send(client, kPing);
    CHECK_THAT(rig.receive(client), Contains("GET /p"));
    CHECK(rig.fds == 3);
  }
  rig.turn();
  CHECK(open_fds() == before);
}

TEST_CASE("API: descriptors are the request's that they came with", "[api]") {
  Rig rig;
  const UniqueFd client = rig.connect();
  const std::vector<int> fds(2, client.get());
  // The server reads what stands before them in one go with them.
  const std::string_view others = "GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n";
  REQUIRE(::send(client.get(), others.data(), others.size(), 0) > 0);
  const std::string_view text = kPing;
  REQUIRE(sys_util::send_with_fds(client.get(), std::as_bytes(std::span(text)), fds).has_value());
  REQUIRE(::send(client.get(), others.data(), others.size(), 0) > 0);
  CHECK_THAT(rig.receive(client), Contains("GET /p"));
  CHECK(rig.fds_of == std::vector<std::size_t>{0, 0, 2, 0, 0});
  // A request's own pieces.
  REQUIRE(sys_util::send_with_fds(client.get(), std::as_bytes(std::span(text.substr(0, 20))), fds)
              .has_value());
  rig.turn();
  rig.send(client, text.substr(20));
  CHECK_THAT(rig.receive(client), Contains("GET /p"));
  CHECK(rig.fds_of.back() == 2);
}

TEST_CASE("API: as many descriptors as one message brings are taken", "[api]") {
  Rig rig;
  const UniqueFd client = rig.connect();
  const std::vector<int> fds(ApiConnection::kMaxFds, client.get());
  const std::string_view text = kPing;
  REQUIRE(sys_util::send_with_fds(client.get(), std::as_bytes(std::span(text)), fds).has_value());
  CHECK_THAT(rig.receive(client), Contains("GET /p"));
  CHECK(rig.fds == 253);
}

TEST_CASE("API: without descriptors the loop rests, and takes the client later", "[api][hostile]") {
  Rig rig;
  const UniqueFd client = *sys_util::connect_unix(rig.path());
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const int lowest = UniqueFd(::dup(client.get())).get();
  rlimit none = before;
  none.rlim_cur = static_cast<rlim_t>(lowest);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  const auto begun = std::chrono::steady_clock::now();
  const std::size_t first = rig.round();
  const std::size_t second = rig.round();
  const std::size_t third = rig.round();
  const bool at_once = std::chrono::steady_clock::now() - begun < ApiServer::kRest;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(first == 1);
  CHECK((second + third == 0 || !at_once));
  rig.send(client, kPing);
  std::string answer;
  for (int i = 0; i < 1000 && answer.empty(); ++i) {
    rig.turn(50);
    answer = rig.receive(client);
  }
  CHECK_THAT(answer, Contains("GET /p"));
}

TEST_CASE("API: descriptors without end are thrown away", "[api][hostile]") {
  Rig rig;
  const std::size_t before = open_fds();
  {
    const UniqueFd client = rig.connect();
    std::vector<int> fds(ApiConnection::kMaxFds, client.get());
    for (const std::string_view text : {"GET /", "p HTTP/1.1\r\nHost: x\r\n\r\n"}) {
      (void)sys_util::send_with_fds(client.get(), std::as_bytes(std::span(text)), fds).has_value();
      rig.turn();
    }
    bool over = false;
    const std::string answer = rig.receive(client, &over);
    CHECK_THAT(answer, Contains("HTTP/1.1 400") && Contains("Too many descriptors"));
    CHECK(over);
    CHECK(rig.requests == 0);
  }
  rig.turn();
  CHECK(open_fds() == before);
}

}  // namespace
}  // namespace vmm::reference
