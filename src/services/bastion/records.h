// What the bastion stores: sessions, the servers that carry them, session policies, and what the data plane
// and shareable links need to remember.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "services/bastion/model.h"
#include "store/table.h"

namespace merlon::bastion {

struct Session {
  Uuid id;
  std::string bastion;       // key of the host's id
  std::string bastion_text;  // as created
  std::string session_class;
  std::string target;  // key
  std::string target_text;
  std::string target_name;
  IpAddress address;
  uint16_t port = 0;
  Protocol protocol = Protocol::ssh;
  Transport transport = Transport::tunnel;
  std::optional<SignedInBy> signed_in_by;  // none: of before this was kept
  std::string login;
  std::optional<std::vector<std::string>> logins;  // the only ones that it may be
  // Who, and what the sign-in was that the session lives by.
  Uuid person;
  bool is_person = true;
  std::string person_name;
  std::string sign_in, stamp;
  IpAddress client;
  uint16_t client_port = 0;
  std::string user_agent;
  std::string link;                 // id of a shareable link
  std::string holder, holder_name;  // who used it, where they had signed in
  Timestamp start;
  std::optional<Timestamp> deadline;     // as it was said at the start; a grant may be prolonged
  std::optional<Timestamp> lasts_until;  // by the policies
  // What it began with: policies that are written later are held against it (policy_standing.cpp).
  bool ends_protocol = false;
  Channels channels;
  std::string justification;
  std::optional<Duration> factor_age;  // of the second factor at the start; none: there was none
  bool keep_after_grant = false;       // a grant whose time is over does not end it
  std::string grant;                   // of just-in-time access; may be empty
  bool grant_own = false;              // to be given back
  Recording recording = Recording::off;
  // A moderator must look on; who does, and when they last said so.
  std::optional<Moderation> moderation;
  std::string moderator, moderator_name;
  std::optional<Timestamp> moderator_seen;
  bool by_agent = false;  // the machine's agent leads there
  std::string server;
  std::string correlation;
  // Somebody wants it ended.
  std::string end_asked_by, end_asked_reason;
  std::optional<Timestamp> ended;
  std::string end_reason, end_message;
  uint64_t bytes_to_machine = 0, bytes_to_client = 0;

  // Indexes: of running ones "class" (bastion, '\n', class), "server", "target"; of all "bastion" (bastion,
  // '\n', start); of ended ones "ended" (time).
  static const store::TableSpec& table();
  std::string key() const { return id.text(); }
  std::vector<std::optional<std::string>> index_values() const;
  JsonObject to_json() const;
  static Result<Session> from_json(const JsonObject& json);
  static std::string class_key(const std::string& bastion, const std::string& session_class) {
    return bastion + "\n" + session_class;
  }
};

// A server that carries sessions, and when it last said so.
struct CarryingServer {
  std::string id;
  Timestamp seen;
  static const store::TableSpec& table();
  std::string key() const { return id; }
  std::vector<std::optional<std::string>> index_values() const { return {}; }
  JsonObject to_json() const;
  static Result<CarryingServer> from_json(const JsonObject& json);
};

// As PUT; key: bastion's key, '\n', name in lower case.
struct StoredPolicy {
  std::string bastion;
  std::string name;
  JsonObject properties;
  static const store::TableSpec& table();
  std::string key() const;
  std::vector<std::optional<std::string>> index_values() const { return {}; }
  JsonObject to_json() const;
  static Result<StoredPolicy> from_json(const JsonObject& json);
};

std::string sortable(Timestamp time);  // epoch milliseconds with leading zeros

}  // namespace merlon::bastion
