// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// api-call [--curl] SOCKET METHOD NAME [FILE]: one request to the API of a VMM, with the file as
// its body, in the bytes of ch-remote or of curl. Prints the status, then the body; ends with 0
// when the status is one of success.
//
// api-call --listen SOCKET COMMAND...: runs the command with descriptor 3 listening at that path.

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>

namespace {

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

sockaddr_un address_of(const char* path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (std::strlen(path) >= sizeof(address.sun_path)) std::exit(2);
  std::memcpy(address.sun_path, path, std::strlen(path));
  return address;
}

int listen_and_run(const char* path, char** command) {
  const sockaddr_un address = address_of(path);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ::unlink(path);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) die(path);
  if (::listen(fd, 16) != 0) die(path);
  if (fd != 3 && (::dup2(fd, 3) != 3 || ::close(fd) != 0)) die("dup2");
  ::execvp(command[0], command);
  die(command[0]);
}

// As clients do that keep the connection open: the header says how long the answer is.
bool is_whole(const std::string& answer) {
  const std::size_t end = answer.find("\r\n\r\n");
  if (end == std::string::npos) return false;
  const std::size_t length = answer.find("Content-Length: ");
  if (length == std::string::npos || length > end) return true;
  return answer.size() - end - 4 >= std::strtoul(answer.c_str() + length + 16, nullptr, 10);
}

std::string exchange(const char* path, const std::string& request) {
  const sockaddr_un address = address_of(path);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) die(path);
  for (std::size_t sent = 0; sent < request.size();) {
    const ssize_t n = ::send(fd, request.data() + sent, request.size() - sent, MSG_NOSIGNAL);
    if (n <= 0) die("send");
    sent += static_cast<std::size_t>(n);
  }
  std::string answer;
  char bytes[4096];
  while (!is_whole(answer)) {
    const ssize_t n = ::read(fd, bytes, sizeof(bytes));
    if (n <= 0) break;
    answer.append(bytes, static_cast<std::size_t>(n));
  }
  ::close(fd);
  return answer;
}

std::string request_of(bool curl, char** words, bool has_body) {
  std::string request =
      std::string(words[1]) + " /api/v1/" + words[2] + " HTTP/1.1\r\nHost: localhost\r\n";
  if (curl) request += "User-Agent: curl/7.88.1\r\n";
  request += "Accept: */*\r\n";
  if (!has_body) return request + "\r\n";
  std::ifstream file(words[3]);
  const std::string body(std::istreambuf_iterator<char>(file), {});
  if (curl) request += "Content-Type: application/json\r\n";
  return request + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc >= 4 && std::strcmp(argv[1], "--listen") == 0) return listen_and_run(argv[2], argv + 3);
  const bool curl = argc > 1 && std::strcmp(argv[1], "--curl") == 0;
  const int skipped = curl ? 2 : 1;
  const int words = argc - skipped;
  if (words < 3 || words > 4) return 2;
  char** const given = argv + skipped;
  const std::string answer = exchange(given[0], request_of(curl, given, words == 4));
  const std::size_t end = answer.find("\r\n\r\n");
  if (answer.size() < 12 || end == std::string::npos) return 1;
  std::printf("%s\n%s\n", answer.substr(9, 3).c_str(), answer.substr(end + 4).c_str());
  return answer[9] == '2' ? 0 : 1;
}
