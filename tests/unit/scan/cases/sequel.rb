# uses
DB[:projects].where(owner_id: id)
DB[:projects].where(owner_id: id).order(:name).limit(5).all
DB[:projects].where(id: 1, owner_id: id).first
DB[:projects].filter(owner_id: id).count
DB[:projects].where(owner_id: id).update(name: "x")
DB[:projects].where(owner_id: id).delete
DB[:projects].insert(owner_id: id, name: "x")
DB.from(:projects).where(owner_id: id)
DB[:projects].where("owner_id = ?", id)
Project.where(owner_id: id).all
Project.first(owner_id: id)
Project.create(owner_id: id, name: "x")
DB["SELECT * FROM projects WHERE owner_id = ?", id].all
# look-alikes
DB[:projects].select(:id, :owner_id)
DB[:projects].exclude(owner_id: id)
DB[:projects].where(owner_id: nil)
DB[:projects].order(:owner_id)
DB[:projects].join(:users, id: :owner_id)
DB[:teams].where(owner_id: id)
DB[:teams].insert(owner_id: id)
DB[:projects].where(id: 1).update(owner_id: other)
DB[:projects].where(owner_id: id, organization_id: org)
Team.where(owner_id: id).all
settings[:projects] = { owner_id: id }
