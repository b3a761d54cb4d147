// The part of Microsoft Graph v1.0 that tools call. Every route is one row of one table that declares its
// method, pattern, permission and, for a change, the ledger's action; a request without a row is 404, and no
// handler runs before the row's permission has been checked in the very transaction that it runs in.
#pragma once

#include <algorithm>
#include <any>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "identity/directory.h"
#include "identity/graph_query.h"
#include "identity/issuer.h"
#include "identity/password_gate.h"
#include "ledger/ledger.h"
#include "net/http.h"
#include "schema/shape.h"

namespace merlon::identity {

enum class GraphPermission {
  signed_in,        // any principal: what everyone may know
  read_self,        // Directory Readers and Global Administrators; others see themselves and what they own
  read_directory,   // Directory Readers and Global Administrators
  write_directory,  // Global Administrators
  write_owned,      // the same, and who owns what the path names first
  write_self,       // the same, and everybody for what is their own: the handler knows whose it is
};

struct GraphCall {
  const net::Request& request;
  std::string origin;
  Directory& directory;
  Issuer& issuer;
  const Clock& clock;
  Random& random;
  std::string domain;
  Principal principal;
  bool reads_directory = false;
  bool administrator = false;
  std::vector<Uuid> owned;             // of who may not read the directory: the objects that they own
  std::string_view pattern;            // of the row that answers
  bool counts = false;                 // the path ends in /$count
  std::vector<std::string> arguments;  // what the pattern's {…} stand for
  JsonObject body;                     // conforms to the row's shape
  std::any prepared;                   // what the row's `prepare` made
  std::string password_hash;  // Argon2id of body.passwordProfile.password, made before the transaction

  const TenantId& tenant() const { return directory.tenant(); }
  bool may_see(const Uuid& id) const {
    return reads_directory || principal.object_id == id || std::ranges::find(owned, id) != owned.end();
  }
  Result<GraphQuery> query() const;
  Result<Uuid> id_argument(size_t index) const;  // not found when it is no UUID
};

struct GraphOutcome {
  int status = 204;
  JsonObject body;       // sent when the status is not 204
  std::string resource;  // for the ledger: "users/<id>"
  std::string action;    // replaces the row's, when one route does several things
  JsonObject details;
};

using GraphRead = Result<JsonObject> (*)(const GraphCall&, store::Reader&);
using GraphPrepare = Result<std::any> (*)(const GraphCall&);
using GraphWrite = Result<GraphOutcome> (*)(const GraphCall&, store::Transaction&);

struct GraphRoute {
  std::string_view method;
  std::string_view pattern;  // below /v1.0: "groups/{id}/members/$ref"
  GraphPermission permission = GraphPermission::write_directory;
  std::string_view action = {};  // of a change
  GraphRead read = nullptr;      // one of read and write
  GraphWrite write = nullptr;
  schema::Shape (*shape)() = nullptr;  // of the body, when there is one
  GraphPrepare prepare = nullptr;      // slow work before the transaction, for who may do it
  bool counts = false;                 // a list's /$count, which answers with a number as text
  bool only_takes = false;             // a change that lets nobody in and makes nobody more than they were
  // A change of who gets in, and as what: credentials, members, owners, what is switched on.
  bool opens_a_way() const {
    return write != nullptr && method != "DELETE" && !only_takes &&
           (permission == GraphPermission::write_directory || permission == GraphPermission::write_owned);
  }
};

// In graph_routes.cpp. The first row that fits answers.
const std::vector<GraphRoute>& graph_routes();

class Graph {
 public:
  Graph(store::Store& store, ledger::Ledger& ledger, Directory& directory, Issuer& issuer, const Clock& clock,
        Random& random, PasswordGate& passwords)
      : store_(store),
        ledger_(ledger),
        directory_(directory),
        issuer_(issuer),
        clock_(clock),
        random_(random),
        passwords_(passwords) {}
  // Where there are step-up policies (which `guarded` finds out), a change that opens a way takes a person's
  // sign-in with a second factor of the last minutes: by credentials of a program, which has no second
  // factor, or as somebody else, they would be got round (docs/identity.md, Step-up).
  using Guarded = std::function<Result<bool>(store::Reader&)>;
  void ask_fresh_where(Guarded guarded) { guarded_ = std::move(guarded); }
  // `segments` without "v1.0".
  net::Response handle(const net::Request& request, const std::string& origin,
                       const std::vector<std::string>& segments);

 private:
  Result<net::Response> answer(const net::Request& request, const std::string& origin,
                               const std::vector<std::string>& segments);
  Result<net::Response> run_read(const GraphRoute& route, GraphCall& call);
  Result<net::Response> run_write(const GraphRoute& route, GraphCall& call);
  Result<void> authorize(store::Reader& reader, const GraphRoute& route, GraphCall& call);
  Result<void> require_fresh(store::Reader& reader, const GraphRoute& route, const GraphCall& call);
  Result<bool> owns_first_argument(store::Reader& reader, const GraphCall& call);
  Result<void> read_body(store::Reader& reader, const GraphRoute& route, GraphCall& call);
  Result<void> hash_password(GraphCall& call, const std::string& user_principal_name);
  void note_denial(const net::Request& request, const Error& error, const Principal* principal,
                   std::string_view action);

  store::Store& store_;
  ledger::Ledger& ledger_;
  Directory& directory_;
  Issuer& issuer_;
  const Clock& clock_;
  Random& random_;
  PasswordGate& passwords_;
  Guarded guarded_;
};

}  // namespace merlon::identity
