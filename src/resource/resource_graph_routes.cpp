// POST /providers/Microsoft.ResourceGraph/resources: a query over everything that the caller may read one by
// one. Whoever has signed in may ask; each row is shown for a right on the thing itself.
#include <charconv>
#include <map>
#include <set>

#include "base/text.h"
#include "resource/paging.h"
#include "resource/permitted.h"
#include "resource/resource_graph_rows.h"
#include "resource/state.h"

namespace merlon::resource {
namespace {

constexpr int64_t kTopMax = 1000;
constexpr size_t kAnswerBytesMax = 16 * 1024 * 1024;  // Resource Graph's own limit
constexpr const char* kGroupRead = "Microsoft.Resources/subscriptions/resourceGroups/read";

schema::Shape request_shape() {
  const auto options = schema::object(
      {schema::optional("$top", schema::integer().with_range(1, kTopMax)),
       schema::optional("$skip", schema::integer().with_range(0, INT64_MAX)),
       schema::optional("$skipToken", schema::text()),
       schema::defaulted("resultFormat", schema::text_of({"objectArray", "table"}), Json("objectArray")),
       schema::optional("authorizationScopeFilter", schema::text()),
       schema::optional("allowPartialScopes", schema::boolean())});
  return schema::object(
      {schema::required("query", schema::text().with_range(1, 32 * 1024)),
       schema::optional("subscriptions", schema::array_of(schema::text()).with_range(0, 1000)),
       schema::optional("managementGroups", schema::array_of(schema::text())),
       schema::optional("facets", schema::array_of(schema::anything())),
       schema::optional("options", options)});
}

std::unexpected<Error> bad_request(std::string_view code, std::string message, std::string target) {
  auto refused = fail(ErrorKind::invalid, "BadRequest", message, target);
  refused.error().details.push_back({std::string(code), std::move(message), std::move(target)});
  return refused;
}

// There is one subscription: named, or meant by naming none.
Result<void> check_scope(const State& state, const Call& call) {
  const JsonArray* groups = array_at(call.body, "managementGroups");
  if (groups != nullptr && !groups->empty()) {
    return bad_request("UnsupportedFeature",
                       "Queries of management groups are not supported. Name the subscription, or nothing.",
                       "managementGroups");
  }
  const JsonArray* facets = array_at(call.body, "facets");
  if (facets != nullptr && !facets->empty()) {
    return bad_request("UnsupportedFeature",
                       "Facets are not supported. Ask for them with 'summarize count() by …'.", "facets");
  }
  const JsonArray* subscriptions = array_at(call.body, "subscriptions");
  if (subscriptions == nullptr || subscriptions->empty()) return {};
  for (const Json& given : *subscriptions) {
    if (ascii_iequal(std::string_view(given.get_string()), state.core.subscription.text())) return {};
  }
  return bad_request("NoValidSubscriptionsInQueryRequest",
                     "None of the subscriptions in the request exists here. There is " +
                         state.core.subscription.text() + ".",
                     "subscriptions");
}

// Collects the rows of a table that the caller may read and the query's first conditions let through.
class Collector {
 public:
  Collector(const State& state, const Call& call, store::Reader& reader, const GraphQuery& query,
            GraphWork& work)
      : state_(state), call_(call), reader_(reader), query_(query), work_(work) {}

  Result<std::vector<GraphRow>> run() {
    if (query_.table == GraphQuery::Table::resource_containers) {
      TRY(add_containers());
    } else {
      TRY(add_resources());
    }
    return std::move(rows_);
  }

 private:
  Result<void> add_resources() {
    store::Range range{.prefix = ascii_lower(state_.subscription_path()) + "/", .after = {}, .after_key = {}};
    for (;;) {
      const auto rows = TRY(reader_.scan(Documents::table(), state_.core.tenant, range));
      for (const auto& row : rows) {
        const Resource resource = TRY(state_.documents.read(row));
        TRY(add(resource.body, resource.id, resource.id.type() + "/read"));
      }
      if (rows.size() < range.limit) return {};
      range.after = rows.back().key;
    }
  }

  Result<void> add_containers() {
    const ResourceId own = TRY(ResourceId::parse(state_.subscription_path()));
    const JsonObject subscription{{"id", own.text()},
                                  {"name", "Merlon"},
                                  {"type", "microsoft.resources/subscriptions"},
                                  {"properties", JsonObject{{"state", "Enabled"}}}};
    TRY(add(subscription, own, "Microsoft.Resources/subscriptions/read"));
    for (const auto& group : TRY(state_.groups.all(reader_))) {
      JsonObject body = group.body;
      body["type"] = "microsoft.resources/subscriptions/resourcegroups";
      TRY(add(body, group.id, kGroupRead));
    }
    return {};
  }

  Result<void> add(const JsonObject& body, const ResourceId& id, const std::string& action) {
    GraphRow row;
    for (const std::string& name : graph_table_columns()) {
      const Json* value = body.if_contains(name);
      row[name] = value == nullptr ? Json(nullptr) : *value;
    }
    row["type"] = ascii_lower(string_at(body, "type").value_or(""));
    row["resourceGroup"] = ascii_lower(id.resource_group());
    row["subscriptionId"] = state_.core.subscription.text();
    row["tenantId"] = state_.core.tenant.text();
    // Who may not read it learns nothing of it by how long a condition takes.
    if (!TRY(may_read(id, action))) return {};
    // What the query drops at once needs no memory.
    for (const GraphOperator& step : query_.operators) {
      if (step.kind != GraphOperator::Kind::where) break;
      if (!graph_matches(step.condition, row, work_)) return {};
      if (work_.is_spent()) return std::unexpected(graph_query_too_expensive());
    }
    rows_.push_back(std::move(row));
    return {};
  }

  // A right at the subscription is one on everything in it, as for the lists, unless something narrows it.
  Result<bool> may_read(const ResourceId& id, const std::string& action) {
    const auto ask = [&](const std::string& scope) {
      return permitted(state_.core, reader_, call_.principal, action, scope);
    };
    auto at = everywhere_.find(action);
    if (at == everywhere_.end()) {
      const bool all = !TRY(may_narrow(state_.core, reader_)) && TRY(ask(state_.subscription_path()));
      at = everywhere_.emplace(action, all).first;
    }
    return at->second ? Result<bool>(true) : ask(id.text());
  }

  const State& state_;
  const Call& call_;
  store::Reader& reader_;
  const GraphQuery& query_;
  GraphWork& work_;
  std::vector<GraphRow> rows_;
  std::map<std::string, bool> everywhere_;
};

std::string type_of(const std::vector<GraphRow>& rows, const std::string& column) {
  for (const GraphRow& row : rows) {
    const Json& value = row.at(column);
    if (value.is_null()) continue;
    if (value.is_string()) return "string";
    if (value.is_bool()) return "boolean";
    if (value.is_double()) return "number";
    return value.is_number() ? "integer" : "object";
  }
  return "string";
}

Json data_of(const GraphQuery& query, std::vector<GraphRow> rows, bool table) {
  JsonArray data;
  if (!table) {
    for (GraphRow& row : rows) data.push_back(std::move(row));
    return data;
  }
  JsonArray columns;
  for (const std::string& name : query.columns)
    columns.push_back(JsonObject{{"name", name}, {"type", type_of(rows, name)}});
  for (const GraphRow& row : rows) {
    JsonArray cells;
    for (const std::string& name : query.columns) cells.push_back(row.at(name));
    data.push_back(std::move(cells));
  }
  return JsonObject{{"columns", std::move(columns)}, {"rows", std::move(data)}};
}

struct Window {
  size_t skip = 0;
  size_t top = static_cast<size_t>(kTopMax);
};

// A token is where to go on, for the query that it was made for.
Result<Window> window_of(const Call& call, const std::string& query_hash) {
  Window window;
  window.top = static_cast<size_t>(int_at(call.body, "options.$top").value_or(kTopMax));
  window.skip = static_cast<size_t>(int_at(call.body, "options.$skip").value_or(0));
  const auto token = string_at(call.body, "options.$skipToken");
  if (!token) return window;
  const auto bytes = from_base64url(*token);
  const std::string_view text = bytes ? as_text(*bytes) : std::string_view();
  const size_t colon = text.find(':');
  size_t skip = 0;
  if (colon != std::string_view::npos && text.substr(colon + 1) == query_hash) {
    const auto [end, fault] = std::from_chars(text.data(), text.data() + colon, skip);
    if (fault == std::errc() && end == text.data() + colon) {
      window.skip = skip;
      return window;
    }
  }
  return bad_request("InvalidSkipToken",
                     "The '$skipToken' was not made for this query. Send back the one of the previous page.",
                     "options.$skipToken");
}

Result<net::Response> answer_query(const State& state, const Call& call, store::Reader& reader) {
  TRY(check_scope(state, call));
  const std::string text = string_at(call.body, "query").value_or("");
  const GraphQuery query = TRY(parse_graph_query(text));
  const std::string query_hash = hash_of(text);
  const Window window = TRY(window_of(call, query_hash));
  GraphWork work;
  std::vector<GraphRow> rows =
      TRY(run_graph_query(query, TRY(Collector(state, call, reader, query, work).run()), work));
  const size_t total = rows.size();
  const size_t first = std::min(window.skip, total);
  const size_t last = std::min(total, first + window.top);
  rows = {std::make_move_iterator(rows.begin() + static_cast<std::ptrdiff_t>(first)),
          std::make_move_iterator(rows.begin() + static_cast<std::ptrdiff_t>(last))};
  const bool table = string_at(call.body, "options.resultFormat") == "table";
  JsonObject answer{{"totalRecords", static_cast<int64_t>(total)},
                    {"count", static_cast<int64_t>(rows.size())},
                    {"data", data_of(query, std::move(rows), table)},
                    {"facets", JsonArray()},
                    {"resultTruncated", "false"}};
  if (last < total) {
    answer["$skipToken"] = to_base64url(as_bytes(std::to_string(last) + ":" + query_hash));
  }
  std::string body = to_text(answer);
  if (body.size() > kAnswerBytesMax) {
    return bad_request("ResponsePayloadTooLarge",
                       "The answer is larger than 16 MB. Ask for fewer rows with $top, or for fewer columns "
                       "with 'project'.",
                       "query");
  }
  return text_response(200, std::move(body));
}

}  // namespace

void add_graph_routes(State& state, const AddRoute& add) {
  Route query;
  query.method = "POST";
  query.path = "/providers/Microsoft.ResourceGraph/resources";
  query.permission = "Microsoft.ResourceGraph/resources/read";
  query.checked_at = "/";
  query.summary = "Queries everything that the caller may read, in a part of Kusto's language.";
  query.body = request_shape();
  query.filter_items = true;  // each row is decided by itself
  query.read = [&state](const Call& call, store::Reader& reader) {
    return answer_query(state, call, reader);
  };
  add(std::move(query));
}

}  // namespace merlon::resource
