// Recursive descent with a depth that is counted. Columns are resolved while parsing: a misspelt one is an
// error, not an empty answer.
#include <algorithm>
#include <array>
#include <charconv>

#include "base/text.h"
#include "resource/resource_graph_lexer.h"
#include "resource/resource_graph_query.h"

namespace merlon::resource {
namespace {

using Kind = GraphToken::Kind;

constexpr size_t kDepthMax = 32;
constexpr size_t kOperatorsMax = 50;
constexpr size_t kItemsMax = 256;  // of one list
constexpr std::array<std::string_view, 22> kComparisons{
    "==",         "!=",          "=~",       "!~",        "<",           "<=",          ">",   ">=",
    "contains",   "!contains",   "has",      "!has",      "in",          "in~",         "!in", "!in~",
    "startswith", "!startswith", "endswith", "!endswith", "contains_cs", "!contains_cs"};
struct FunctionSpec {
  std::string_view name;
  size_t least, most;
};
constexpr std::array<FunctionSpec, 12> kFunctions{{{"tolower", 1, 1},
                                                   {"toupper", 1, 1},
                                                   {"tostring", 1, 1},
                                                   {"toint", 1, 1},
                                                   {"isempty", 1, 1},
                                                   {"isnotempty", 1, 1},
                                                   {"isnull", 1, 1},
                                                   {"isnotnull", 1, 1},
                                                   {"not", 1, 1},
                                                   {"strcat", 1, 64},
                                                   {"array_length", 1, 1},
                                                   {"iff", 3, 3}}};
constexpr std::array<FunctionSpec, 5> kAggregates{
    {{"count", 0, 0}, {"countif", 1, 1}, {"dcount", 1, 1}, {"min", 1, 1}, {"max", 1, 1}}};
constexpr std::string_view kOperatorsKnown =
    "where, project, project-away, extend, order by, sort by, limit, take, top, count, summarize, distinct";

template <size_t N>
std::string names_of(const std::array<FunctionSpec, N>& specs) {
  std::string names;
  for (const auto& spec : specs) names += (names.empty() ? "" : ", ") + std::string(spec.name);
  return names;
}

template <size_t N>
const FunctionSpec* find_spec(const std::array<FunctionSpec, N>& specs, std::string_view name) {
  const auto at = std::ranges::find(specs, name, &FunctionSpec::name);
  return at == specs.end() ? nullptr : &*at;
}

GraphExpression literal(Json value) {
  GraphExpression made;
  made.value = std::move(value);
  return made;
}

class Parser {
 public:
  explicit Parser(std::vector<GraphToken> tokens) : tokens_(std::move(tokens)) {}

  Result<GraphQuery> run() {
    GraphQuery query;
    query.columns = graph_table_columns();
    TRY(read_table(query));
    while (!at_end()) {
      if (!take_symbol("|")) return refuse("'|' or the end of the query is expected");
      if (query.operators.size() == kOperatorsMax) return refuse("at most 50 operators are allowed");
      columns_ = &query.columns;
      TRY(read_operator(query));
    }
    return query;
  }

 private:
  const GraphToken& peek(size_t ahead = 0) const {
    return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
  }
  bool at_end() const { return peek().kind == Kind::end; }
  bool is_symbol(std::string_view text, size_t ahead = 0) const {
    return peek(ahead).kind == Kind::symbol && peek(ahead).text == text;
  }
  bool is_word(std::string_view text) const { return peek().kind == Kind::word && peek().text == text; }
  bool take_symbol(std::string_view text) {
    if (!is_symbol(text)) return false;
    ++at_;
    return true;
  }
  bool take_word(std::string_view text) {
    if (!is_word(text)) return false;
    ++at_;
    return true;
  }
  std::unexpected<Error> refuse(std::string_view what) const {
    const std::string found = at_end() ? "the query ends" : "'" + peek().text.substr(0, 64) + "' stands";
    return bad_graph_query("ParserFailure", peek(), std::string(what) + ", where " + found + ".");
  }
  std::unexpected<Error> unsupported(const GraphToken& at, std::string_view what) const {
    return bad_graph_query("UnsupportedFeature", at, what);
  }

  Result<void> read_table(GraphQuery& query) {
    if (peek().kind != Kind::word) return refuse("a table such as Resources is expected");
    const GraphToken table = peek();
    ++at_;
    if (ascii_iequal(table.text, "Resources")) return {};
    query.table = GraphQuery::Table::resource_containers;
    if (ascii_iequal(table.text, "ResourceContainers")) return {};
    return unsupported(table, "The table '" + table.text.substr(0, 64) +
                                  "' does not exist here. There are Resources and ResourceContainers.");
  }

  Result<void> read_operator(GraphQuery& query) {
    if (peek().kind != Kind::word) return refuse("an operator is expected");
    const GraphToken word = peek();
    ++at_;
    GraphOperator made;
    if (word.text == "where") {
      made.condition = TRY(read_expression());
    } else if (word.text == "project" || word.text == "extend") {
      TRY(read_project(made, word.text == "extend"));
    } else if (word.text == "project-away") {
      TRY(read_project_away(made));
    } else if (word.text == "order" || word.text == "sort") {
      TRY(read_order(made));
    } else if (word.text == "limit" || word.text == "take") {
      made.kind = GraphOperator::Kind::limit;
      made.limit = TRY(read_count());
    } else if (word.text == "top") {
      return read_top(query);
    } else if (word.text == "count") {
      made.kind = GraphOperator::Kind::count;
      *columns_ = {"Count"};
    } else if (word.text == "summarize") {
      TRY(read_summarize(made));
    } else if (word.text == "distinct") {
      TRY(read_distinct(made));
    } else {
      return unsupported(word, "The operator '" + word.text.substr(0, 64) +
                                   "' is not supported. Supported: " + std::string(kOperatorsKnown) + ".");
    }
    query.operators.push_back(std::move(made));
    return {};
  }

  Result<uint64_t> read_count() {
    uint64_t value = 0;
    const std::string& text = peek().text;
    const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (peek().kind != Kind::number || fault != std::errc() || end != text.data() + text.size())
      return refuse("a whole number is expected");
    ++at_;
    return value;
  }

  // name = expression, or an expression that names itself.
  Result<GraphColumn> read_column(bool aggregate = false) {
    GraphColumn column;
    if (peek().kind == Kind::word && is_symbol("=", 1)) {
      column.name = peek().text;
      at_ += 2;
    }
    column.expression = aggregate ? TRY(read_aggregate()) : TRY(read_expression());
    if (column.name.empty()) column.name = name_for(column.expression);
    return column;
  }

  std::string name_for(const GraphExpression& expression) {
    if (expression.kind == GraphExpression::Kind::path) {
      std::string name = expression.name;  // properties.a['b'] is properties_a_b
      for (const GraphExpression& step : expression.children) {
        name += "_" + (step.value.is_string() ? std::string(step.value.get_string()) : to_text(step.value));
      }
      return name;
    }
    if (find_spec(kAggregates, expression.name) != nullptr && !is_function(expression.name)) {
      const bool of_path =
          !expression.children.empty() && expression.children.front().kind == GraphExpression::Kind::path;
      return expression.name + "_" + (of_path ? name_for(expression.children.front()) : std::string());
    }
    return "Column" + std::to_string(++unnamed_);
  }
  static bool is_function(std::string_view name) { return find_spec(kFunctions, name) != nullptr; }

  Result<std::vector<GraphColumn>> read_columns(bool aggregates = false) {
    std::vector<GraphColumn> columns;
    do {
      if (columns.size() == kItemsMax) return refuse("at most 256 columns are allowed");
      columns.push_back(TRY(read_column(aggregates)));
      const auto same = [&](const GraphColumn& other) { return other.name == columns.back().name; };
      if (std::ranges::count_if(columns, same) > 1)
        return refuse("a name for the second column '" + columns.back().name + "' is expected");
    } while (take_symbol(","));
    return columns;
  }

  Result<void> read_project(GraphOperator& made, bool extend) {
    made.kind = extend ? GraphOperator::Kind::extend : GraphOperator::Kind::project;
    made.columns = TRY(read_columns());
    if (!extend) columns_->clear();
    for (const GraphColumn& column : made.columns) {
      if (std::ranges::find(*columns_, column.name) == columns_->end()) columns_->push_back(column.name);
    }
    return {};
  }

  Result<void> read_project_away(GraphOperator& made) {
    made.kind = GraphOperator::Kind::project_away;
    do {
      GraphColumn column;
      column.expression = TRY(read_path());
      column.name = column.expression.name;
      if (!column.expression.children.empty()) return refuse("a column, not a part of one, is expected");
      std::erase(*columns_, column.name);
      made.columns.push_back(std::move(column));
    } while (take_symbol(","));
    return {};
  }

  Result<GraphSortKey> read_sort_key() {
    GraphSortKey key;
    key.expression = TRY(read_expression());
    if (take_word("asc")) {
      key.descending = false;
    } else {
      take_word("desc");
    }
    key.nulls_first = !key.descending;
    if (!take_word("nulls")) return key;
    key.nulls_first = is_word("first");
    if (!take_word("first") && !take_word("last")) return refuse("'first' or 'last' is expected");
    return key;
  }

  Result<void> read_order(GraphOperator& made) {
    made.kind = GraphOperator::Kind::order;
    if (!take_word("by")) return refuse("'by' is expected");
    do {
      if (made.keys.size() == kItemsMax) return refuse("at most 256 keys are allowed");
      made.keys.push_back(TRY(read_sort_key()));
    } while (take_symbol(","));
    return {};
  }

  Result<void> read_top(GraphQuery& query) {
    GraphOperator limit;
    limit.kind = GraphOperator::Kind::limit;
    limit.limit = TRY(read_count());
    GraphOperator order;
    TRY(read_order(order));
    query.operators.push_back(std::move(order));
    query.operators.push_back(std::move(limit));
    return {};
  }

  Result<void> read_summarize(GraphOperator& made) {
    made.kind = GraphOperator::Kind::summarize;
    if (!is_word("by")) made.columns = TRY(read_columns(true));
    if (take_word("by")) made.by = TRY(read_columns());
    if (made.columns.empty() && made.by.empty()) return refuse("an aggregate or 'by' is expected");
    columns_->clear();
    for (const auto* part : {&made.by, &made.columns}) {
      for (const GraphColumn& column : *part) {
        if (std::ranges::find(*columns_, column.name) != columns_->end())
          return refuse("another name for the column '" + column.name + "' is expected");
        columns_->push_back(column.name);
      }
    }
    return {};
  }

  Result<void> read_distinct(GraphOperator& made) {
    made.kind = GraphOperator::Kind::distinct;
    if (take_symbol("*")) {
      for (const std::string& name : *columns_) {
        GraphColumn column{name, {}};
        column.expression.kind = GraphExpression::Kind::path;
        column.expression.name = name;
        made.columns.push_back(std::move(column));
      }
      return {};
    }
    made.columns = TRY(read_columns());
    columns_->clear();
    for (const GraphColumn& column : made.columns) columns_->push_back(column.name);
    return {};
  }

  Result<GraphExpression> read_aggregate() {
    const GraphToken name = peek();
    const FunctionSpec* spec =
        name.kind == Kind::word && is_symbol("(", 1) ? find_spec(kAggregates, name.text) : nullptr;
    if (spec == nullptr) {
      return unsupported(name, "The aggregate '" + name.text.substr(0, 64) +
                                   "' is not supported. Supported: " + names_of(kAggregates) + ".");
    }
    ++at_;
    return read_call(*spec);
  }

  Result<GraphExpression> read_expression() {
    if (++depth_ > kDepthMax) return refuse("at most 32 levels are allowed");
    auto made = read_joined("or");
    --depth_;
    return made;
  }

  // One node for a whole chain, so that a long one is not a deep one.
  Result<GraphExpression> read_joined(std::string_view word) {
    const auto next = [&] { return word == "or" ? read_joined("and") : read_comparison(); };
    GraphExpression first = TRY(next());
    if (!is_word(word)) return first;
    GraphExpression chain;
    chain.kind = GraphExpression::Kind::binary;
    chain.name = word;
    chain.children.push_back(std::move(first));
    while (take_word(word)) {
      if (chain.children.size() == kItemsMax) return refuse("at most 256 terms are allowed");
      chain.children.push_back(TRY(next()));
    }
    return chain;
  }

  Result<GraphExpression> read_comparison() {
    GraphExpression left = TRY(read_primary());
    const bool may_be = peek().kind == Kind::word || peek().kind == Kind::symbol;
    if (!may_be || std::ranges::find(kComparisons, peek().text) == kComparisons.end()) {
      static constexpr std::array<std::string_view, 6> kWords{"asc", "desc", "nulls", "and", "or", "by"};
      if (peek().kind == Kind::word && std::ranges::find(kWords, peek().text) == kWords.end()) {
        return unsupported(peek(), "The operator '" + peek().text.substr(0, 64) + "' is not supported here.");
      }
      return left;
    }
    GraphExpression made;
    made.kind = GraphExpression::Kind::binary;
    made.name = peek().text;
    ++at_;
    const bool list = made.name == "in" || made.name == "in~" || made.name == "!in" || made.name == "!in~";
    made.children.push_back(std::move(left));
    made.children.push_back(list ? TRY(read_list()) : TRY(read_primary()));
    return made;
  }

  Result<GraphExpression> read_list() {
    GraphExpression list;
    list.kind = GraphExpression::Kind::list;
    if (!take_symbol("(")) return refuse("'(' is expected");
    do {
      if (list.children.size() == kItemsMax * 4) return refuse("at most 1024 values are allowed");
      list.children.push_back(TRY(read_expression()));
    } while (take_symbol(","));
    if (!take_symbol(")")) return refuse("')' is expected");
    return list;
  }

  Result<GraphExpression> read_primary() {
    const GraphToken token = peek();
    switch (token.kind) {
      case Kind::text:
        ++at_;
        return literal(Json(token.text));
      case Kind::number:
        return read_number();
      case Kind::word:
        break;
      case Kind::symbol:
        if (!take_symbol("(")) return refuse("a value is expected");
        {
          GraphExpression inner = TRY(read_expression());
          if (!take_symbol(")")) return refuse("')' is expected");
          return inner;
        }
      case Kind::end:
        return refuse("a value is expected");
    }
    if (take_word("true")) return literal(true);
    if (take_word("false")) return literal(false);
    if (!is_symbol("(", 1)) return read_path();
    const FunctionSpec* spec = find_spec(kFunctions, token.text);
    if (spec == nullptr) {
      return unsupported(token, "The function '" + token.text.substr(0, 64) +
                                    "' is not supported. Supported: " + names_of(kFunctions) + ".");
    }
    ++at_;
    return read_call(*spec);
  }

  Result<GraphExpression> read_call(const FunctionSpec& spec) {
    GraphExpression call;
    call.kind = GraphExpression::Kind::function;
    call.name = spec.name;
    if (!take_symbol("(")) return refuse("'(' is expected");
    if (!is_symbol(")")) {
      do {
        call.children.push_back(TRY(read_expression()));
      } while (call.children.size() < spec.most && take_symbol(","));
    }
    if (!is_symbol(")") || call.children.size() < spec.least)
      return refuse("the arguments of " + std::string(spec.name) + "() are expected");
    ++at_;
    return call;
  }

  Result<GraphExpression> read_number() {
    auto value = parse_json(peek().text);
    if (!value) return refuse("a number is expected");
    ++at_;
    return literal(*std::move(value));
  }

  Result<GraphExpression> read_path() {
    if (peek().kind != Kind::word) return refuse("a column is expected");
    GraphExpression path;
    path.kind = GraphExpression::Kind::path;
    path.name = peek().text;
    if (std::ranges::find(*columns_, path.name) == columns_->end()) {
      return bad_graph_query("SemanticFailure", peek(),
                             "There is no column '" + path.name.substr(0, 64) + "' here. There are " +
                                 join(*columns_, ", ") + ".");
    }
    ++at_;
    while (is_symbol(".") || is_symbol("[")) {
      if (path.children.size() == kDepthMax) return refuse("at most 32 steps are allowed");
      const bool bracket = is_symbol("[");
      ++at_;
      const Kind kind = peek().kind;
      if (!bracket && kind != Kind::word) return refuse("a property's name is expected");
      if (bracket && kind == Kind::number) {
        path.children.push_back(literal(static_cast<int64_t>(TRY(read_count()))));
      } else if (kind == Kind::word || kind == Kind::text) {
        path.children.push_back(literal(Json(peek().text)));
        ++at_;
      } else {
        return refuse("a property's name or an index is expected");
      }
      if (bracket && !take_symbol("]")) return refuse("']' is expected");
    }
    return path;
  }

  std::vector<GraphToken> tokens_;
  size_t at_ = 0;
  size_t depth_ = 0;
  size_t unnamed_ = 0;
  std::vector<std::string>* columns_ = nullptr;
};

}  // namespace

const std::vector<std::string>& graph_table_columns() {
  static const std::vector<std::string> columns{
      "id",        "name", "type", "tenantId",   "kind", "location", "resourceGroup", "subscriptionId",
      "managedBy", "sku",  "plan", "properties", "tags", "identity", "zones"};
  return columns;
}

Result<GraphQuery> parse_graph_query(std::string_view text) {
  return Parser(TRY(read_graph_tokens(text))).run();
}

}  // namespace merlon::resource
