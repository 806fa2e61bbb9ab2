// The client against a server on a loop of its own.
#include "mtastsd/control/client.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "fakes/temp_dir.h"
#include "mtastsd/control/server.h"
#include "mtastsd/event/loop.h"

namespace mtastsd::control {
namespace {

using testing::HasSubstr;

class ControlClientTest : public testing::Test {
 protected:
  ControlClientTest()
      : server_(loop_, [this](std::string_view line, std::uint64_t connection) {
          ++requests_;
          server_.reply(connection, answer_(line));
        }) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof(address.sun_path) - 1);
    listening_ = socket(AF_UNIX, SOCK_STREAM, 0);
    EXPECT_EQ(bind(listening_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(listen(listening_, 4), 0);
    accepting_ = loop_.watch(listening_, event::Interest::Read, [this](event::Interest) {
      server_.add(accept4(listening_, nullptr, nullptr, SOCK_NONBLOCK));
    });
  }
  ~ControlClientTest() override {
    loop_.stop();
    if (thread_.joinable()) {
      thread_.join();
    }
    accepting_.reset();
    close(listening_);
  }
  void serve(std::function<std::string(std::string_view line)> answer) {
    answer_ = std::move(answer);
    thread_ = std::thread([this] { loop_.run(); });
  }
  Error problem() {
    auto client = Client::connect(path_);
    auto answer = client->ask(StatusRequest{});
    EXPECT_FALSE(answer);
    return answer.error();
  }

  const test::TempDir dir_;
  const std::string path_ = dir_.path() + "/sock";
  event::Loop loop_;
  Server server_;
  std::function<std::string(std::string_view)> answer_;
  int requests_ = 0;
  int listening_ = -1;
  std::unique_ptr<event::FdWatch> accepting_;
  std::thread thread_;
};

TEST_F(ControlClientTest, ADaemonThatAcceptsNobodyIsNotWaitedForWithoutEnd) {
  std::vector<Client> queued;
  Error error;
  for (int i = 0; i < 20 && error.message.empty(); ++i) {
    auto client = Client::connect(path_, Milliseconds(300));
    if (client) {
      queued.push_back(std::move(*client));
    } else {
      error = client.error();
    }
  }
  EXPECT_FALSE(queued.empty());
  EXPECT_EQ(error.problem, Error::Problem::Broken);
  EXPECT_THAT(error.message, HasSubstr("does not accept connections"));
}

TEST_F(ControlClientTest, AsksAndIsAnswered) {
  serve([](std::string_view line) {
    const auto request = decode_request(line);
    Page page;
    page.records = {{std::get<ListRequest>(*request).after, "bytes"}};
    return encode(Reply(page));
  });
  auto client = Client::connect(path_);
  ASSERT_TRUE(client);
  for (const char* after : {"a", "b"}) {
    const auto page = client->ask(ListRequest{after});
    ASSERT_TRUE(page) << page.error().message;
    EXPECT_EQ(page->records.at(0).domain, after);
  }
}

TEST_F(ControlClientTest, ABusyDaemonIsAskedAgain) {
  serve([this](std::string_view) {
    return encode(requests_ < 3 ? Reply(failure(Error{Error::Problem::Busy, "later"}))
                                : Reply(Status{}));
  });
  auto client = Client::connect(path_);
  int ticks = 0;
  EXPECT_TRUE(client->ask(StatusRequest{}, [&ticks] { ++ticks; }));
  EXPECT_GE(ticks, 2);
}

TEST_F(ControlClientTest, WhatTheDaemonSaysAgainstItIsPassedOn) {
  serve([](std::string_view) {
    return encode(Reply(failure(Error{Error::Problem::UnknownCommand, "another version"})));
  });
  const Error error = problem();
  EXPECT_EQ(error.problem, Error::Problem::UnknownCommand);
  EXPECT_EQ(error.message, "another version");
}

TEST_F(ControlClientTest, AnAnswerToAnotherRequestIsBroken) {
  serve([](std::string_view) { return encode(Reply(Shown{})); });
  EXPECT_EQ(problem().problem, Error::Problem::Broken);
}

TEST_F(ControlClientTest, AReplyThatIsTooLongIsBroken) {
  serve([](std::string_view) { return std::string(2 * kMaxLineBytes, 'x'); });
  const Error error = problem();
  EXPECT_EQ(error.problem, Error::Problem::Broken);
  EXPECT_THAT(error.message, HasSubstr("too long"));
}

TEST(ControlClient, ErrorsOfConnectingAreTyped) {
  const test::TempDir dir;
  EXPECT_EQ(Client::connect(dir.path() + "/none").error().problem, Error::Problem::NoDaemon);
  EXPECT_EQ(Client::connect("/" + std::string(200, 'x')).error().problem, Error::Problem::Broken);
}

}  // namespace
}  // namespace mtastsd::control
