"""What ORMs and query builders call their methods."""

from __future__ import annotations

from runbook.scan.names import word_set

INSERTS = word_set("""
    insert insertMany insertGetId insertOrIgnore insertGraph insertAndFetch values create createMany
    create! insert! insert_all insert_all! forceCreate firstOrCreate updateOrCreate Create new build
    make upsert bulk_create get_or_create update_or_create aget_or_create acreate bulkCreate
    createManyAndReturn insertWithRelated first_or_create first_or_create! find_or_create_by
    find_or_create_by! find_or_initialize_by createOrFirst firstOrNew CreateInBatches findOrCreate
    findOrBuild Values Insert Save save upsertGraph insert_one multi_insert import SetMap Columns
    insert_many createQuietly upsert_all
""")
DELETES = word_set("""
    del delete deleteFrom deleteMany destroy delete_all destroy_all forceDelete Delete remove
    adelete trashAll delete_by destroy_by deleteById trash
""")
UPDATES = word_set("""
    update updateMany update_all updateTable updateOrInsert Update Updates UpdateColumn patch
    update! aupdate Set increment decrement
""")
WHERES = word_set("""
    where andWhere orWhere whereIn orWhereIn firstWhere eq in match find_by find_by! exists? rewhere
    Where Or filter filter_by get get_or_none first find findOne findBy findOneBy findOneByOrFail
    findOneOrFail countBy existsBy find_or_create_by find_or_create_by! find_or_initialize_by get_by
    get_object_or_404 get_list_or_404 aget having orHaving first_or_404 one_or_404 find_one or_where
    Filter exists count and or get_or_create update_or_create findMany findFirst findAll
    findAndCountAll findAndCount findFirstOrThrow findUnique findUniqueOrThrow aggregate groupBy sum
    avg max min update updateMany delete deleteMany destroy upsert First Last Take Find FirstOrInit
    FirstOrCreate Eq And Not contains by_owner all list paginate count_by get_multi fetch destroy_by
    delete_by sole find_sole_by updateOrCreate firstOrCreate firstOrNew updateOrInsert Count Delete
    Update filterWhere Q aexists exclude_none get_queryset findOrCreate scope on whereEqualTo
    whereIs find_each paginate_by not_null first! take andFilterWhere isIn where_in or_where_in
    get_where orWhereNested firstOr when unless whereRelation whereHas findOneByOrNull restrict
    iterator increment decrement maximum minimum average
""")
RAWS = word_set("""
    whereRaw andWhereRaw orWhereRaw raw literal text havingRaw RawSQL Raw extra
""")
