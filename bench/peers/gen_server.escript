#!/usr/bin/env escript
%%! +S 1:1 +sbwt none +P 1000000
%% What the bench local_calls asks of Erlang's gen_server. One line in, `QUESTION SIZE CALLERS`; one number out:
%%   call MS CALLERS   calls per second (default time-out) to a supervised, registered server
%%   cast MS _         casts per second, until all were handled
%%   spawn COUNT _     servers started per second, one after the other
%%   bytes COUNT _     memory of a server that has nothing to do
%% One scheduler, as a Node thread has one; it does not spin while it waits, as others are measured then.
-module(gen_server_peer).
-behaviour(gen_server).
-mode(compile).
-export([main/1, init/1, handle_call/3, handle_cast/2]).

-define(CALLS_PER_ROUND, 20000).
-define(CASTS_PER_ROUND, 2000).

main(_) ->
    {ok, _} = supervisor:start_link(?MODULE, supervisor),
    listen().

listen() ->
    case io:get_line("") of
        eof -> ok;
        Line ->
            [Question, Size, Callers] = string:lexemes(string:trim(Line), " "),
            Value = measure(Question, list_to_integer(Size), list_to_integer(Callers)),
            io:format("~.3f~n", [float(Value)]),
            listen()
    end.

measure("call", Ms, Callers) ->
    Each = ?CALLS_PER_ROUND div Callers,
    per_second(fun() -> beside(Callers, fun() -> calls(message(), Each) end), Each * Callers end, Ms);
measure("cast", Ms, _) ->
    Message = message(),
    per_second(fun() -> casts(Message, ?CASTS_PER_ROUND), call(Message), ?CASTS_PER_ROUND end, Ms);
measure("spawn", Count, _) ->
    StartedAt = erlang:monotonic_time(microsecond),
    Servers = start(Count),
    TookUs = erlang:monotonic_time(microsecond) - StartedAt,
    stop(Servers),
    Count * 1000000 / TookUs;
measure("bytes", Count, _) ->
    erlang:garbage_collect(),
    Before = erlang:memory(processes),
    Servers = start(Count),
    erlang:garbage_collect(),
    %% Without the list of their pids, two words each, which is this process's.
    Bytes = (erlang:memory(processes) - Before) / Count - 2 * erlang:system_info(wordsize),
    stop(Servers),
    Bytes.

message() ->
    #{ref => 1, op => put, key => <<"+5511987654321">>, value => binary:copy(<<"v">>, 64), version => 7}.

per_second(Round, Ms) ->
    StartedAt = erlang:monotonic_time(microsecond),
    per_second(Round, StartedAt, StartedAt + Ms * 1000, 0).

per_second(Round, StartedAt, Until, Before) ->
    Done = Before + Round(),
    case erlang:monotonic_time(microsecond) of
        Now when Now >= Until -> Done * 1000000 / (Now - StartedAt);
        _ -> per_second(Round, StartedAt, Until, Done)
    end.

beside(1, Work) -> Work();
beside(Count, Work) ->
    Workers = [spawn_monitor(Work) || _ <- lists:seq(1, Count)],
    [receive {'DOWN', Monitor, process, Pid, normal} -> ok end || {Pid, Monitor} <- Workers].

call(Message) -> 7 = gen_server:call(put_server, {put, Message}).

calls(_, 0) -> ok;
calls(Message, Count) -> call(Message), calls(Message, Count - 1).

casts(_, 0) -> ok;
casts(Message, Count) -> gen_server:cast(put_server, {put, Message}), casts(Message, Count - 1).

start(Count) ->
    [begin {ok, Pid} = gen_server:start(?MODULE, server, []), Pid end || _ <- lists:seq(1, Count)].

stop(Servers) -> [gen_server:stop(Pid) || Pid <- Servers].

init(supervisor) ->
    Start = {gen_server, start_link, [{local, put_server}, ?MODULE, server, []]},
    {ok, {#{strategy => one_for_one}, [#{id => put_server, start => Start}]}};
init(server) -> {ok, {0, 0}}.

handle_call({put, #{version := Version}}, _From, {Handled, _}) -> {reply, Version, {Handled + 1, Version}}.

handle_cast({put, #{version := Version}}, {Handled, _}) -> {noreply, {Handled + 1, Version}}.
