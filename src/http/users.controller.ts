import { Controller, Get, Patch, UseGuards } from '@nestjs/common';
import type { AccessClaims } from '../application/ports/access-tokens';
import { Profiles } from '../identity/profiles';
import type { UserId } from '../kernel/ids';
import { PAGE_LIMIT_DEFAULT } from '../protocol/limits';
import { OwnUser, ProfileBody, UserList, UserSearchQuery } from '../protocol/rest';
import type { BodyOf, ListDto, OwnUserDto, QueryOf } from '../protocol/rest';
import { User, type UserDto } from '../protocol/schemas';
import { AccessGuard } from './access.guard';
import { Describe } from './describe';
import { toOwnUserDto, toUserDto } from './dto';
import { Body, PathId, Query } from './input';
import { invalidInput, notFound, ProblemException, unauthenticated } from './problem-exception';
import { Caller } from './request';

@UseGuards(AccessGuard)
@Controller('api/v1/users')
export class UsersController {
  constructor(private readonly profiles: Profiles) {}

  @Get('me')
  @Describe({ summary: 'My own profile', answers: { 200: OwnUser } })
  async me(@Caller() caller: AccessClaims): Promise<OwnUserDto> {
    const user = await this.profiles.get(caller.userId, caller.userId);
    if (user === undefined) throw unauthenticated('The account is gone.');
    return toOwnUserDto(user);
  }

  @Patch('me')
  @Describe({
    summary: 'Change my profile: what is not named stays, null takes away',
    body: ProfileBody,
    answers: { 200: OwnUser },
    refusals: ['conflict'],
  })
  async change(
    @Caller() caller: AccessClaims,
    @Body(ProfileBody) body: BodyOf<typeof ProfileBody>,
  ): Promise<OwnUserDto> {
    const changed = await this.profiles.change(caller.userId, body);
    if (changed === undefined) throw unauthenticated('The account is gone.');
    if (changed === 'usernameTaken') {
      throw new ProblemException('conflict', 'Somebody has this user name already.', {
        errors: [{ field: 'username', message: 'is taken' }],
      });
    }
    return toOwnUserDto(changed);
  }

  @Get(':id')
  @Describe({ summary: 'A profile', answers: { 200: User }, refusals: ['not_found'] })
  async one(@Caller() caller: AccessClaims, @PathId('id') id: UserId): Promise<UserDto> {
    const user = await this.profiles.get(id, caller.userId);
    if (user === undefined) throw notFound();
    return toUserDto(user);
  }

  @Get()
  @Describe({
    summary: 'People whose user name begins with the query, whatever its case',
    query: UserSearchQuery,
    answers: { 200: UserList },
  })
  async search(
    @Caller() caller: AccessClaims,
    @Query(UserSearchQuery) query: QueryOf<typeof UserSearchQuery>,
  ): Promise<ListDto<UserDto>> {
    const { limit = PAGE_LIMIT_DEFAULT, cursor } = query;
    const page = await this.profiles.search(query.query, caller.userId, {
      limit,
      ...(cursor === undefined ? {} : { cursor }),
    });
    if (page === 'badCursor')
      throw invalidInput({ field: 'cursor', message: 'is not a nextCursor of before' });
    return { ...page, items: page.items.map(toUserDto) };
  }
}
