#include "ctl/query.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>

#include "ctl/exit_status.h"
#include "ctl/socketmap_client.h"

namespace mtastsd::ctl {
namespace {

struct Arguments {
  std::string domain;
  std::string server = "inet:127.0.0.1:8461";
  std::string map = "postfix";
};

int trouble(const std::string& message) {
  std::fprintf(stderr, "mtastsctl: %s\n", message.c_str());
  return kTrouble;
}

int query(const Arguments& arguments) {
  const auto server = config::parse_listen(arguments.server);
  if (!server) {
    return trouble("--server " + arguments.server + ": " + server.error());
  }
  if (arguments.map.empty() || arguments.map.find_first_of(" :") != std::string::npos) {
    return trouble("--map: a map name has no blank and no colon in it");
  }
  auto client = SocketmapClient::connect(*server);
  if (!client) {
    return trouble(client.error());
  }
  const auto reply = client->ask(arguments.map, arguments.domain);
  if (!reply) {
    return trouble(reply.error());
  }
  const bool not_found = *reply == "NOTFOUND" || reply->starts_with("NOTFOUND ");
  std::printf("%s\n", not_found ? "NOTFOUND" : reply->c_str());
  if (reply->starts_with("OK ")) {
    return kGood;
  }
  return not_found ? kNotFound : kTrouble;
}

}  // namespace

void add_query(CLI::App& app, std::function<int()>& run) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* verb = app.add_subcommand("query", "ask mtastsd as Postfix does and print its reply");
  verb->add_option("DOMAIN", arguments->domain,
                   "the key: a domain, or a next-hop such as [relay.example]:587")
      ->required();
  verb->add_option("--server", arguments->server,
                   "where mtastsd listens: inet:HOST:PORT or unix:PATH")
      ->type_name("ADDR")
      ->capture_default_str();
  verb->add_option("--map", arguments->map, "the socketmap name, as in main.cf")
      ->type_name("NAME")
      ->capture_default_str();
  verb->callback([arguments, &run] { run = [arguments] { return query(*arguments); }; });
}

}  // namespace mtastsd::ctl
